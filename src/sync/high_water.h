// sync/high_water.h: a mark that only rises; what lies at and above it was never in use.
// Threads: any. Processes: any. Blocks: no.
#pragma once
#include <cstdint>

#include "layout/word.h"

namespace ndshare::sync {

// REQUIRES: what lies below the raised mark is reserved memory, and filled in. Who sees the mark
// has it, no more: that an end was taken is told by the count of joins.
template <class Ground>
void raise_high_water(Ground&& ground, layout::Word32& mark, std::size_t index) {
    std::uint32_t seen = 0;
    // SYNC(row-high-water): whoever sees the mark may touch the memory below it.
    while (seen <= index &&
           !ground.compare_exchange(mark, seen, static_cast<std::uint32_t>(index + 1))) {
    }
}

}  // namespace ndshare::sync
