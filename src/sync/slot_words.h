// sync/slot_words.h: what the words of a stream's ring say: numbers, places, and who has a slot.
// Values only. Threads: any. Blocks: no.
#pragma once
#include <cstdint>

#include "sync/owner.h"

namespace ndshare::sync {

// ---- numbers and places -------------------------------------------------------------------------

inline constexpr std::uint64_t kSeqMask = (std::uint64_t{1} << 48) - 1;
inline constexpr unsigned kSeqShift = 16;
inline constexpr std::uint64_t kSlotMask = 0x3fff;
// Of `latest`: no frame follows. Ended: said by a publisher; sealed: the name gets other memory.
inline constexpr std::uint64_t kEndedMark = 0x8000, kSealedMark = 0x4000;
inline constexpr std::uint64_t kMarks = kEndedMark | kSealedMark;

constexpr std::uint64_t place_word(std::uint64_t seq, std::size_t slot) {
    return (seq & kSeqMask) << kSeqShift | (slot + 1);
}
constexpr std::uint64_t seq_of(std::uint64_t word) { return word >> kSeqShift; }
constexpr bool has_slot(std::uint64_t place) { return (place & kSlotMask) != 0; }
constexpr std::size_t slot_of(std::uint64_t place) { return (place & kSlotMask) - 1; }
constexpr bool leads_to(std::uint64_t place, std::uint64_t seq) {
    return has_slot(place) && seq_of(place) == (seq & kSeqMask);
}
constexpr bool is_ended(std::uint64_t latest) { return (latest & kEndedMark) != 0; }
constexpr bool is_sealed(std::uint64_t latest) { return (latest & kSealedMark) != 0; }
// How far a is ahead of b; numbers have 48 bits here and may have wrapped.
constexpr std::int64_t seq_distance(std::uint64_t a, std::uint64_t b) {
    return static_cast<std::int64_t>((a - b) << 16) >> 16;
}
// The full number of a frame, from one that is near.
constexpr std::uint64_t full_seq(std::uint64_t seq, std::uint64_t near) {
    return near + static_cast<std::uint64_t>(seq_distance(seq, near));
}

// ---- slot words ---------------------------------------------------------------------------------
//   0..1   kind        2..7   low bits of the owner's row epoch       8..15  the owner's row
//   16..63 number: of the frame in it (BUSY: of the one that was)
enum class SlotKind : std::uint64_t { free = 0, busy = 1, ready = 2, published = 3 };
inline constexpr std::uint64_t kSlotEpochMask = 63;

constexpr SlotKind kind_of(std::uint64_t word) { return static_cast<SlotKind>(word & 3); }
constexpr std::uint64_t published_word(std::uint64_t seq) {
    return (seq & kSeqMask) << kSeqShift | static_cast<std::uint64_t>(SlotKind::published);
}
// The slot holds that frame, for whoever pins it.
constexpr bool shows(std::uint64_t word, std::uint64_t seq) {
    const SlotKind kind = kind_of(word);
    return (kind == SlotKind::published || kind == SlotKind::ready) &&
           seq_of(word) == (seq & kSeqMask);
}
constexpr std::uint64_t bit_of(std::size_t slot) { return std::uint64_t{1} << (slot % 64); }
constexpr std::uint64_t owned_word(SlotKind kind, std::uint64_t owner, std::uint64_t seq) {
    return (seq & kSeqMask) << kSeqShift | static_cast<std::uint64_t>(row_of(owner)) << 8 |
           (owner >> kEpochShift & kSlotEpochMask) << 2 | static_cast<std::uint64_t>(kind);
}

}  // namespace ndshare::sync
