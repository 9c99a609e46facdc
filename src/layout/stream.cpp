#include "layout/stream.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/check.h"
#include "layout/descriptor.h"
#include "layout/dtype.h"

namespace ndshare::layout {
namespace {

constexpr std::uint64_t kFieldAlignment = 64;
constexpr std::uint64_t kPageBytes = 4096;
constexpr std::size_t kFieldNameBytesMax = 200;

std::uint64_t round_up(std::uint64_t value, std::uint64_t step) {
    return (value + step - 1) / step * step;
}

void require_field_name(const std::string& name, bool alone) {
    if (name.empty() && !alone) throw Invalid("a field needs a name");
    if (name.size() > kFieldNameBytesMax) throw Invalid("a field's name has at most 200 bytes");
    for (const char c : name) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            throw Invalid("a field's name must not hold control characters");
        }
    }
}

// As Python writes a string.
std::string quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') out += '\\';
        out += c;
    }
    return out + "'";
}

std::string shape_text(const std::vector<std::int64_t>& shape, char between) {
    std::string out;
    for (std::size_t k = 0; k < shape.size(); ++k) {
        if (k > 0) out += between;
        out += std::to_string(shape[k]);
    }
    return out;
}

std::vector<std::string_view> split(std::string_view text, char at, std::size_t parts_max) {
    std::vector<std::string_view> parts;
    while (parts.size() + 1 < parts_max) {
        const auto found = text.find(at);
        if (found == std::string_view::npos) break;
        parts.push_back(text.substr(0, found));
        text.remove_prefix(found + 1);
    }
    parts.push_back(text);
    return parts;
}

Field parse_line(std::string_view line) {
    const auto parts = split(line, '\t', 4);
    if (parts.size() != 4) throw Invalid("a field's description is damaged");
    Field field;
    field.name = parts[0];
    for (const char flag : parts[1]) {
        if (flag == 'v') {
            field.variable = true;
        } else if (flag == 'f') {
            field.fortran = true;
        } else if (flag == 'a') {
            field.aligned = true;
        } else if (flag == 'o') {
            field.object = true;
        } else if (flag != '-') {
            throw Invalid("a field's flags are damaged");
        }
    }
    if (!parts[2].empty()) {
        for (const auto extent : split(parts[2], ',', kDimsMax + 1)) {
            std::int64_t value = 0;
            const auto [end, error] =
                std::from_chars(extent.data(), extent.data() + extent.size(), value);
            if (error != std::errc() || end != extent.data() + extent.size()) {
                throw Invalid("a field's shape is damaged");
            }
            field.shape.push_back(value);
        }
    }
    field.dtype = parts[3];
    return field;
}

}  // namespace

SlotPlan plan_slot(std::vector<Field> fields) {
    if (fields.empty()) throw Invalid("a stream has at least one field");
    if (fields.size() > kFieldsMax) throw Invalid("a frame has at most 64 fields");
    SlotPlan plan;
    plan.fields = std::move(fields);
    std::set<std::string> names;
    std::uint64_t at = 0;
    const auto advance = [&](std::uint64_t bytes, std::uint64_t alignment) {
        const std::uint64_t begin = round_up(at, alignment);
        if (__builtin_add_overflow(begin, bytes, &at) || at > (std::uint64_t{1} << 62)) {
            throw Invalid("a slot needs more than 2^62 bytes");
        }
        return begin;
    };
    for (Field& field : plan.fields) {
        require_field_name(field.name, plan.fields.size() == 1);
        if (!names.insert(field.name).second) {
            throw Invalid("two fields have the name \"" + field.name + "\"");
        }
        const auto meaning = parse_dtype(field.dtype);
        field.dtype = meaning.canonical;
        field.npy_descr = meaning.npy_descr;
        field.itemsize = meaning.itemsize;
        field.max_bytes = data_bytes_of(field.shape, field.itemsize);
        field.offset_bytes = advance(field.max_bytes, kFieldAlignment);
    }
    for (Field& field : plan.fields) {
        if (!field.variable) continue;
        field.shape_offset_bytes = advance(field.shape.size() * sizeof(std::int64_t), 8);
    }
    plan.attrs_offset_bytes = advance(kFrameAttrsBytes, 8);
    // Large slots begin at pages, so that their data do.
    plan.slot_bytes = round_up(at, at >= 16 * kPageBytes ? kPageBytes : kCacheLine);
    return plan;
}

std::string fields_text(const SlotPlan& plan) {
    std::string text;
    for (const Field& field : plan.fields) {
        std::string flags;
        if (field.variable) flags += 'v';
        if (field.fortran) flags += 'f';
        if (field.aligned) flags += 'a';
        if (field.object) flags += 'o';
        if (flags.empty()) flags = "-";
        text += field.name + '\t' + flags + '\t' + shape_text(field.shape, ',') + '\t' +
                field.dtype + '\n';
    }
    return text;
}

SlotPlan parse_fields(std::string_view text) {
    std::vector<Field> fields;
    while (!text.empty()) {
        const auto end = text.find('\n');
        if (end == std::string_view::npos) throw Invalid("the fields' description is damaged");
        fields.push_back(parse_line(text.substr(0, end)));
        text.remove_prefix(end + 1);
    }
    return plan_slot(std::move(fields));
}

std::string npy_descr_of_pool(const SlotPlan& plan) {
    std::string text = "[";
    std::uint64_t at = 0;
    const auto pad_to = [&](std::uint64_t offset) {
        if (offset > at) text += "('', '|V" + std::to_string(offset - at) + "'), ";
        at = offset;
    };
    for (const Field& field : plan.fields) {
        pad_to(field.offset_bytes);
        const std::string name = field.name.empty() ? "array" : field.name;
        text += "(" + quoted(name) + ", " + field.npy_descr;
        // Records know no Fortran order: the transposed shape leads to the same bytes.
        auto shape = field.shape;
        if (field.fortran) std::reverse(shape.begin(), shape.end());
        if (!shape.empty()) text += ", (" + shape_text(shape, ',') + ",)";
        text += "), ";
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
