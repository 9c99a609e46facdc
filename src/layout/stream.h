// layout/stream.h: what a stream has beside an array's parts: what lies in a slot of the pool, and
// the words behind the common control region.
//
//   pool: slot_count slots of slot_bytes, each
//   |  0  fields, each from a multiple of 64
//   |     shapes: 8 bytes an extent, of the fields whose shape may differ from frame to frame
//   |     attrs: kFrameAttrsBytes of JSON text
//
//   behind the common control region
//   |  0  ring[ring_count]    where the last frames went: number and slot, as in `latest`
//   |     SlotLine[slots]     who has the slot, and the frame's stamps
//   |     End[kEndCount]      one for each publisher and each subscriber, end_bytes each
//
// Structs, offsets and checks only; the verbs are in sync/. Threads: any. Blocks: no.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "layout/control.h"
#include "layout/end.h"
#include "layout/fields.h"

namespace ndshare::layout {

inline constexpr std::size_t kSlotsMin = 2, kSlotsMax = 4096;
inline constexpr std::uint64_t kFrameAttrsBytes = 1024;

// What one slot holds.
struct SlotPlan {
    std::vector<Field> fields;
    std::uint64_t attrs_offset_bytes = 0, slot_bytes = 0;
    bool is_object() const { return fields.size() == 1 && fields.front().object; }
};

// Fills in what is derived. Throws Invalid.
SlotPlan plan_slot(std::vector<Field> fields);
inline SlotPlan plan_slot_of(std::string_view text) { return plan_slot(parse_field_lines(text)); }
// The pool as numpy.load sees it: records of the fields, with what else a slot holds as padding.
std::string npy_descr_of_pool(const SlotPlan& plan);

// The 16 lower bits of `latest` and of ring entries are slot + 1 (0: none); in `latest` bit 14 says
// that the memory loses its name, bit 15 that the stream has ended.
struct SlotLine {
    Word64 word;  // kind, owner, number: sync/slot_ring.h
    // Of the frame in it; written by the slot's owner before READY, read by who pins it.
    Word64 seq;        // all 64 bits
    Word64 time_ns;    // the publisher's, or of publication: since 1970
    Word64 steady_ns;  // of publication: monotonic
    Word32 attrs_bytes;
    Word32 reserved32;
    std::uint8_t reserved[24];
};
static_assert(sizeof(SlotLine) == kCacheLine, "bump kLayoutVersion");
static_assert(std::has_unique_object_representations_v<SlotLine>);

struct StreamPlaces {
    std::uint64_t ring_count, slots_offset, ends_offset, end_bytes, bytes;
};
StreamPlaces stream_places(std::size_t slot_count);

// A stream's own words as the floors above see them. REQUIRES: base is the control region,
// control_bytes_of_stream(slot_count) long.
class StreamControl {
 public:
    StreamControl() = default;
    StreamControl(std::byte* base, std::size_t slot_count)
        : control_(base),
          own_(base + kControlBytes),
          places_(stream_places(slot_count)),
          slot_count_(slot_count) {}
    Control common() const { return control_; }
    ControlWords& words() const { return control_.words(); }
    std::size_t slot_count() const { return slot_count_; }
    std::uint64_t ring_count() const { return places_.ring_count; }
    Word64& ring(std::uint64_t number) const {
        return reinterpret_cast<Word64*>(own_)[number & (places_.ring_count - 1)];
    }
    SlotLine& slot(std::size_t index) const {
        return reinterpret_cast<SlotLine*>(own_ + places_.slots_offset)[index];
    }
    End& end(std::size_t index) const {
        return *reinterpret_cast<End*>(own_ + places_.ends_offset + index * places_.end_bytes);
    }
    Word64& pins(std::size_t end_index, std::size_t slot_index) const {
        return end(end_index).pins[slot_index / 64];
    }
    std::size_t pin_words() const { return (slot_count_ + 63) / 64; }

 private:
    Control control_;
    std::byte* own_ = nullptr;
    StreamPlaces places_{};
    std::size_t slot_count_ = 0;
};

inline std::uint64_t control_bytes_of_stream(std::size_t slot_count) {
    return kControlBytes + stream_places(slot_count).bytes;
}

}  // namespace ndshare::layout
