// sync/owner.h: who holds a lock word, in 64 bits.
//
//   0..15   row + 1 of the holder, 0: nobody
//   16      contended: somebody sleeps on the word; the holder wakes when it lets go
//   17..63  epoch of the row: raised whenever a process takes the row, so the word of a dead
//           process differs from any that a later process of the same row writes. A recovery may
//           therefore be stopped for as long as it likes between its look and its CAS.
//
// Values only. Threads: any. Blocks: no.
#pragma once
#include <cstdint>

#include "layout/control.h"

namespace ndshare::sync {

inline constexpr std::uint64_t kContended = std::uint64_t{1} << 16;
inline constexpr std::uint64_t kRowMask = 0xffff;
inline constexpr unsigned kEpochShift = 17;

constexpr std::uint64_t owner_word(std::size_t row, std::uint64_t epoch) {
    return (row + 1) | (epoch << kEpochShift);
}
constexpr std::uint64_t owner_of(std::uint64_t word) { return word & ~kContended; }
// REQUIRES: names_a_row(word).
constexpr std::size_t row_of(std::uint64_t word) { return (word & kRowMask) - 1; }
constexpr bool names_a_row(std::uint64_t word) {
    return (word & kRowMask) >= 1 && (word & kRowMask) <= layout::kRowCount;
}

}  // namespace ndshare::sync
