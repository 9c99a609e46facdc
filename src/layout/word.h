// layout/word.h: a number that several processes change. It has no accessors here: only the named
// orders of sync/atomics.h reach it, so that no plain load or store of a shared word can be
// written.
#pragma once
#include <cstdint>

namespace ndshare::sync {
struct WordAccess;
}

namespace ndshare::layout {

class Word32 {
    friend struct ndshare::sync::WordAccess;
    alignas(4) std::uint32_t value_;
};

class Word64 {
    friend struct ndshare::sync::WordAccess;
    alignas(8) std::uint64_t value_;
};

}  // namespace ndshare::layout
