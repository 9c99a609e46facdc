#include <cinttypes>
#include <cstdio>

#include "schedule/world.h"

namespace ndshare::schedule {
namespace {

struct Place {
    std::size_t offset;
    const char* name;
};
constexpr Place kPlaces[] = {
    {offsetof(layout::ControlWords, version), "version"},
    {offsetof(layout::ControlWords, lock), "lock"},
    {offsetof(layout::ControlWords, turn), "turn"},
    {offsetof(layout::ControlWords, need_wake), "need_wake"},
    {offsetof(layout::ControlWords, need_ring), "need_ring"},
    {offsetof(layout::ControlWords, attrs), "attrs"},
    {offsetof(layout::ControlWords, attrs_lock), "attrs_lock"},
    {offsetof(layout::ControlWords, attrs_bytes), "attrs_bytes[0]"},
    {offsetof(layout::ControlWords, attrs_bytes) + 4, "attrs_bytes[1]"},
    {offsetof(layout::ControlWords, bell_high_water), "bell mark"},
};

}  // namespace

std::string World::name_of(const void* word) const {
    if (word == nullptr) return "";
    const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(word) -
                                                 reinterpret_cast<std::byte*>(arena_.get()));
    for (const Place& place : kPlaces) {
        if (place.offset == offset) return place.name;
    }
    if (offset >= offsetof(Arena, pipes)) {
        return "pipe " + std::to_string(1 + (offset - offsetof(Arena, pipes)) / 4);
    }
    if (offset >= offsetof(Arena, scratch)) {
        return "scratch[" + std::to_string((offset - offsetof(Arena, scratch)) / 8) + "]";
    }
    if (offset >= offsetof(Arena, payload)) {
        return "payload[" + std::to_string((offset - offsetof(Arena, payload)) / 8) + "]";
    }
    if (offset >= layout::kControlBytes) {
        return "stream+" + std::to_string(offset - layout::kControlBytes);
    }
    if (offset >= layout::kBellsOffset) {
        const std::size_t in_bells = offset - layout::kBellsOffset;
        return "bell " + std::to_string(in_bells / sizeof(layout::Bell)) + "+" +
               std::to_string(in_bells % sizeof(layout::Bell));
    }
    if (offset % sizeof(layout::Row) != 0) return "signature of a row";
    return "epoch of row " + std::to_string((offset - layout::kRowsOffset) / sizeof(layout::Row));
}

std::string World::trace(std::size_t lines_max) const {
    std::string out;
    const std::size_t begin = lines_.size() > lines_max ? lines_.size() - lines_max : 0;
    if (begin > 0) out += "  ... " + std::to_string(begin) + " earlier operations\n";
    for (std::size_t k = begin; k < lines_.size(); ++k) {
        const Line& line = lines_[k];
        const Process& who = processes_[line.process];
        char text[160];
        std::snprintf(text, sizeof text, "  %5" PRIu64 "  %-8.*s %zu  %-14s %-14s 0x%" PRIx64 "\n",
                      line.step, static_cast<int>(who.role.size()), who.role.data(), who.number,
                      line.verb, name_of(line.word).c_str(), line.value);
        out += text;
    }
    return out;
}

}  // namespace ndshare::schedule
