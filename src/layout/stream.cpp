#include "layout/stream.h"

#include <algorithm>

#include "base/check.h"

namespace ndshare::layout {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

std::uint64_t round_up(std::uint64_t value, std::uint64_t step) {
    return (value + step - 1) / step * step;
}

}  // namespace

SlotPlan plan_slot(std::vector<Field> fields) {
    SlotPlan plan;
    complete_fields(fields);
    plan.fields = std::move(fields);
    Cursor cursor;
    for (Field& field : plan.fields) {
        if (field.result) throw Invalid("a frame has no results");
        field.offset_bytes = cursor.advance(field.max_bytes, kFieldAlignment);
    }
    for (Field& field : plan.fields) {
        if (!field.variable) continue;
        field.shape_offset_bytes = cursor.advance(field.shape.size() * sizeof(std::int64_t), 8);
    }
    plan.attrs_offset_bytes = cursor.advance(kFrameAttrsBytes, 8);
    // Large slots begin at pages, so that their data do.
    plan.slot_bytes =
        round_up(cursor.at(), cursor.at() >= 16 * kPageBytes ? kPageBytes : kCacheLine);
    for (Field& field : plan.fields) field.stride_bytes = plan.slot_bytes;
    return plan;
}

std::string npy_descr_of_pool(const SlotPlan& plan) {
    std::string text = "[";
    std::uint64_t at = 0;
    const auto pad_to = [&](std::uint64_t offset) {
        if (offset > at) text += npy_descr_of_padding(offset - at) + ", ";
        at = offset;
    };
    for (const Field& field : plan.fields) {
        pad_to(field.offset_bytes);
        text += npy_descr_of(field, 0) + ", ";
        at += field.max_bytes;
    }
    pad_to(plan.slot_bytes);
    text.resize(text.size() - 2);
    return text + "]";
}

StreamPlaces stream_places(std::size_t slot_count) {
    StreamPlaces places{};
    // Twice the slots: an entry outlives the frame that it leads to.
    places.ring_count = 16;
    while (places.ring_count < 2 * slot_count) places.ring_count *= 2;
    places.slots_offset = round_up(places.ring_count * sizeof(Word64), kCacheLine);
    places.ends_offset = places.slots_offset + slot_count * sizeof(SlotLine);
    const std::uint64_t pin_bytes = (slot_count + 63) / 64 * sizeof(Word64);
    places.end_bytes = round_up(std::max(sizeof(End), offsetof(End, pins) + pin_bytes), kCacheLine);
    places.bytes = round_up(places.ends_offset + kEndCount * places.end_bytes, kPageBytes);
    return places;
}

}  // namespace ndshare::layout
