// layout/control.h: the words that processes change together, between the data and the descriptor.
//
//   control_offset
//   |    0  ControlWords   512 bytes, grouped by who writes them most
//   |  512  Row[248]       one for each attached process, 64 bytes
//   | 16384 Bell[128]      one for each handle that asked for a file descriptor, 32 bytes
//   | 20480 attrs, even    16384 bytes of JSON text
//   | 36864 attrs, odd     16384 bytes of JSON text
//   | 53248 end
//
// Pages past the first are holes until they are reserved, before the word that leads to them
// (row_high_water, bell_high_water, attrs) says so. No pointers, only indices; little-endian.
// Structs and offsets only; the verbs are in sync/.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "layout/word.h"

namespace ndshare::layout {

inline constexpr std::size_t kCacheLine = 64;
inline constexpr std::size_t kRowCount = 248;
inline constexpr std::size_t kBellCount = 128;
inline constexpr std::size_t kAttrsCapacityBytes = 16384;

// state: what the memory is to its name. A name leads to live memory only. kReplacing: live, and
// somebody who has the name's lock is giving the name other memory; where nobody has the lock he
// died on the way, and the book decides.
enum : std::uint32_t { kBuilding = 0, kLive = 1, kReplaced = 2, kUnlinked = 3, kReplacing = 4 };

struct ControlWords {
    // Writers' line.
    Word64 version;    // odd: a write runs or was left; completed writes = version / 2
    Word64 lock;       // 0, or sync/write_lock.h's owner: row + 1, contended, epoch of the row
    Word32 turn;       // a reader's request for quiet, sync/read_turn.h
    Word32 need_wake;  // 1: somebody sleeps on version; a writer clears it
    Word32 need_ring;  // 1: a bell is armed; the ringer clears it
    Word32 state;      // kBuilding, kLive, kReplaced, kUnlinked, kReplacing
    // Streams, see layout/stream.h; 0 in arrays.
    Word64 latest;      // the newest frame's number and slot
    Word64 seq_anchor;  // a full number near it
    std::uint8_t pad0[16];
    // Attributes' line.
    Word64 attrs;       // count of changes; its parity says which text holds
    Word64 attrs_lock;  // as lock
    Word32 attrs_bytes[2];
    std::uint8_t pad1[40];
    // Peers' line.
    Word32 row_high_water;   // rows below it are reserved memory and may be in use
    Word32 bell_high_water;  // the same for bells
    Word64 named;            // owner word of the process that the name's link leads to; a hint
    std::uint8_t pad2[48];
    // Streams' waiting line: for room, and for peers to come.
    Word32 room;            // raised when a slot may have come free for a publisher that waits
    Word32 need_room;       // 1: a publisher waits for room; the raiser clears it
    Word32 joins;           // raised when an end is taken or let go
    Word32 end_high_water;  // ends below it may be in use
    Word64 first_seq;       // frames published = latest - this
    std::uint8_t pad3[40];
    std::uint8_t reserved[256];
};
static_assert(sizeof(ControlWords) == 512, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, lock) == 8, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, turn) == 16, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, need_wake) == 20, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, need_ring) == 24, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, state) == 28, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, latest) == 32, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, attrs) == 64, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, attrs_lock) == 72, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, attrs_bytes) == 80, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, row_high_water) == 128, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, bell_high_water) == 132, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, named) == 136, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, room) == 192, "bump kLayoutVersion");
static_assert(offsetof(ControlWords, first_seq) == 208, "bump kLayoutVersion");
static_assert(std::is_trivially_copyable_v<ControlWords>);
static_assert(std::has_unique_object_representations_v<ControlWords>, "a hole between the words");

// One attached process. Only the holder of the row's kernel lock writes it; the lock, not a word
// here, says whether the process lives.
struct Row {
    Word64 epoch;  // raised by each process that takes the row: a lock word of a former one differs
    Word32 pid;    // as seen by the process itself, for messages and for the book
    Word32 fd;     // the descriptor under /proc/pid/fd that leads here
    Word64 pid_namespace;
    std::uint8_t reserved[40];
};
static_assert(sizeof(Row) == kCacheLine, "bump kLayoutVersion");
static_assert(std::has_unique_object_representations_v<Row>);

// One pipe that wants a byte when the version changes.
struct Bell {
    Word64 owner;  // 0: free; else row + 1 and epoch of the row, as in a lock word
    Word32 armed;  // 1: ring me; the ringer clears it
    Word32 fd;     // the pipe's end under /proc/pid/fd of the owner
    Word64 inode;  // of the pipe: the descriptor may be a stranger's by now
    std::uint8_t reserved[8];
};
static_assert(sizeof(Bell) == 32, "bump kLayoutVersion");
static_assert(std::has_unique_object_representations_v<Bell>);

inline constexpr std::size_t kRowsOffset = 512;
inline constexpr std::size_t kBellsOffset = kRowsOffset + kRowCount * sizeof(Row);
inline constexpr std::size_t kAttrsOffset = kBellsOffset + kBellCount * sizeof(Bell);
inline constexpr std::size_t kControlBytes = kAttrsOffset + 2 * kAttrsCapacityBytes;
static_assert(kBellsOffset == 16384 && kAttrsOffset == 20480 && kControlBytes == 53248,
              "bump kLayoutVersion");

// The region as the floors above see it. REQUIRES: base is 8-byte aligned and kControlBytes long.
class Control {
 public:
    Control() = default;
    explicit Control(std::byte* base) : base_(base) {}
    ControlWords& words() const { return *at<ControlWords>(0); }
    Row& row(std::size_t index) const { return at<Row>(kRowsOffset)[index]; }
    Bell& bell(std::size_t index) const { return at<Bell>(kBellsOffset)[index]; }
    std::byte* attrs_text(std::size_t parity) const {
        return base_ + kAttrsOffset + parity * kAttrsCapacityBytes;
    }
    std::byte* base() const { return base_; }
    explicit operator bool() const { return base_ != nullptr; }

 private:
    template <class T>
    T* at(std::size_t offset_bytes) const {
        return reinterpret_cast<T*>(base_ + offset_bytes);
    }
    std::byte* base_ = nullptr;
};

}  // namespace ndshare::layout
