// layout/end.h: one place in a stream or a service, for each handle that takes part.
// Structs only; the verbs are in sync/ends.h. Threads: any. Blocks: no.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "layout/control.h"

namespace ndshare::layout {

inline constexpr std::size_t kEndCount = 256;

enum : std::uint32_t {
    kEndIdle = 0,
    kEndPublisher = 1,
    kEndInOrder = 2,
    kEndLatest = 3,
    kEndJoining = 4,  // holds a `block` publisher back until it has chosen where to begin
    kEndRefs = 5,     // of a process that gets frames by their numbers
    kEndWorker = 6,
    kEndClient = 7,
};

// A publisher's or a subscriber's place. Only its owner writes it.
struct End {
    Word64 owner;   // 0: free; else as in a lock word
    Word64 cursor;  // the last number it got; publishers: the last it published
    Word32 kind;
    Word32 flags;
    Word64 count;    // frames lost on the way to it; publishers: frames dropped
    Word64 pins[4];  // bit s: slot s; further words follow for more than 256 slots
};
static_assert(sizeof(End) == kCacheLine, "bump kLayoutVersion");
static_assert(std::has_unique_object_representations_v<End>);

}  // namespace ndshare::layout
