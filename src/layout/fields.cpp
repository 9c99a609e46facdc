#include "layout/fields.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "base/check.h"
#include "layout/descriptor.h"
#include "layout/dtype.h"

namespace ndshare::layout {
namespace {

constexpr std::size_t kFieldNameBytesMax = 200;

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
        } else if (flag == 'r') {
            field.result = true;
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

void complete_fields(std::vector<Field>& fields) {
    if (fields.empty()) throw Invalid("at least one field is needed");
    if (fields.size() > kFieldsMax) throw Invalid("at most 64 fields are possible");
    std::set<std::pair<bool, std::string>> names;
    for (Field& field : fields) {
        require_field_name(field.name, fields.size() == 1);
        if (!names.insert({field.result, field.name}).second) {
            throw Invalid("two fields have the name \"" + field.name + "\"");
        }
        const auto meaning = parse_dtype(field.dtype);
        field.dtype = meaning.canonical;
        field.npy_descr = meaning.npy_descr;
        field.itemsize = meaning.itemsize;
        field.max_bytes = data_bytes_of(field.shape, field.itemsize);
    }
}

std::string fields_text(const std::vector<Field>& fields) {
    std::string text;
    for (const Field& field : fields) {
        std::string flags;
        if (field.variable) flags += 'v';
        if (field.fortran) flags += 'f';
        if (field.aligned) flags += 'a';
        if (field.object) flags += 'o';
        if (field.result) flags += 'r';
        if (flags.empty()) flags = "-";
        text += field.name + '\t' + flags + '\t' + shape_text(field.shape, ',') + '\t' +
                field.dtype + '\n';
    }
    return text;
}

std::vector<Field> parse_field_lines(std::string_view text) {
    std::vector<Field> fields;
    while (!text.empty()) {
        const auto end = text.find('\n');
        if (end == std::string_view::npos) throw Invalid("the fields' description is damaged");
        fields.push_back(parse_line(text.substr(0, end)));
        text.remove_prefix(end + 1);
    }
    return fields;
}

std::string npy_descr_of(const Field& field, std::size_t slots) {
    std::string text =
        "(" + quoted(field.name.empty() ? "array" : field.name) + ", " + field.npy_descr;
    // Records know no Fortran order: the transposed shape leads to the same bytes.
    auto shape = field.shape;
    if (field.fortran) std::reverse(shape.begin(), shape.end());
    if (slots > 0) shape.insert(shape.begin(), static_cast<std::int64_t>(slots));
    if (!shape.empty()) text += ", (" + shape_text(shape, ',') + ",)";
    return text + ")";
}

std::string npy_descr_of_padding(std::uint64_t bytes) {
    return "('', '|V" + std::to_string(bytes) + "')";
}

std::uint64_t Cursor::advance(std::uint64_t bytes, std::uint64_t alignment) {
    const std::uint64_t begin = (at_ + alignment - 1) / alignment * alignment;
    if (__builtin_add_overflow(begin, bytes, &at_) || at_ > (std::uint64_t{1} << 62)) {
        throw Invalid("more than 2^62 bytes are needed");
    }
    return begin;
}

}  // namespace ndshare::layout
