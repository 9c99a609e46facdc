#include "layout/dtype.h"

#include <algorithm>
#include <array>
#include <bit>
#include <set>
#include <utility>

#include "base/check.h"
#include "layout/name.h"

namespace ndshare::layout {
namespace {

constexpr char kNativeOrder = std::endian::native == std::endian::little ? '<' : '>';
constexpr std::uint64_t kItemBytesMax = (std::uint64_t{1} << 31) - 1;  // NumPy's own limit (C int)
constexpr int kDepthMax = 32;

using NamedCode = std::pair<std::string_view, std::string_view>;
constexpr std::array<NamedCode, 15> kNumpyNames{{{"bool", "b1"},
                                                 {"int8", "i1"},
                                                 {"int16", "i2"},
                                                 {"int32", "i4"},
                                                 {"int64", "i8"},
                                                 {"uint8", "u1"},
                                                 {"uint16", "u2"},
                                                 {"uint32", "u4"},
                                                 {"uint64", "u8"},
                                                 {"float16", "f2"},
                                                 {"float32", "f4"},
                                                 {"float64", "f8"},
                                                 {"complex64", "c8"},
                                                 {"complex128", "c16"},
                                                 {"byte", "i1"}}};

// Types of the package ml_dtypes; NumPy itself has no letter for them.
constexpr std::array<std::string_view, 18> kMlNames{"bfloat16",       "float8_e3m4",
                                                    "float8_e4m3",    "float8_e4m3b11fnuz",
                                                    "float8_e4m3fn",  "float8_e4m3fnuz",
                                                    "float8_e5m2",    "float8_e5m2fnuz",
                                                    "float8_e8m0fnu", "float6_e2m3fn",
                                                    "float6_e3m2fn",  "float4_e2m1fn",
                                                    "int1",           "int2",
                                                    "int4",           "uint1",
                                                    "uint2",          "uint4"};

struct Scalar {
    std::string canonical, npy;
    std::uint64_t itemsize;
};

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
    throw Invalid("dtype \"" + std::string(text) + "\" " + why);
}

bool one_of(std::uint64_t value, std::initializer_list<std::uint64_t> allowed) {
    for (const auto candidate : allowed) {
        if (candidate == value) return true;
    }
    return false;
}

// "25s" in "<M8[25s]", and nothing but letters, digits and '/'.
bool is_datetime_unit(std::string_view unit) {
    if (unit.empty()) return false;
    for (const char c : unit) {
        const bool good =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/';
        if (!good) return false;
    }
    return true;
}

std::uint64_t parse_count(std::string_view digits, std::string_view whole) {
    if (digits.empty() || digits.size() > 10) refuse(whole, "is no NumPy dtype");
    std::uint64_t value = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9') refuse(whole, "is no NumPy dtype");
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    if (value > kItemBytesMax) refuse(whole, "is larger than 2 GiB an element");
    return value;
}

Scalar parse_letters(char order, std::string_view code, std::string_view whole) {
    if (code.empty()) refuse(whole, "is no NumPy dtype");
    const char kind = code[0];
    if (kind == 'O') {
        refuse(whole,
               "holds Python objects, which live in one process only; use "
               "a fixed-size dtype, or a stream of objects: Publisher(name, dtype=object, "
               "max_nbytes=...)");
    }
    if (kind == 'T') refuse(whole, "has elements of variable width; use 'S' or 'U' with a width");
    std::string unit;
    auto digits = code.substr(1);
    if (kind == 'M' || kind == 'm') {
        if (const auto bracket = digits.find('['); bracket != std::string_view::npos) {
            if (digits.back() != ']' ||
                !is_datetime_unit(digits.substr(bracket + 1, digits.size() - bracket - 2))) {
                refuse(whole, "has no valid unit");
            }
            unit = digits.substr(bracket);
            digits = digits.substr(0, bracket);
        }
    }
    const std::uint64_t count = parse_count(digits, whole);
    bool ordered = true;  // does byte order mean anything?
    std::uint64_t itemsize = count;
    bool good = true;
    switch (kind) {
        case 'b':
            good = count == 1;
            ordered = false;
            break;
        case 'i':
        case 'u':
            good = one_of(count, {1, 2, 4, 8});
            ordered = count > 1;
            break;
        case 'f':
            good = one_of(count, {2, 4, 8, 12, 16});
            break;
        case 'c':
            good = one_of(count, {8, 16, 24, 32});
            break;
        case 'M':
        case 'm':
            good = count == 8;
            break;
        case 'S':
        case 'V':
            ordered = false;
            break;
        case 'U':
            itemsize = count * 4;
            break;
        default:
            good = false;
    }
    if (!good) refuse(whole, "is no NumPy dtype");
    if (itemsize > kItemBytesMax) refuse(whole, "is larger than 2 GiB an element");
    const char shown = !ordered ? '|' : (order == '=' || order == '|' ? kNativeOrder : order);
    std::string text{shown, kind};
    text += std::to_string(count) + unit;
    return {text, text, itemsize};
}

Scalar parse_scalar(std::string_view text) {
    for (const auto& name : kMlNames) {
        if (name == text) {
            const std::uint64_t itemsize = text == "bfloat16" ? 2 : 1;
            return {std::string(text), "|V" + std::to_string(itemsize), itemsize};
        }
    }
    for (const auto& [name, code] : kNumpyNames) {
        if (name == text) return parse_letters('=', code, text);
    }
    if (text == "object") return parse_letters('|', "O", text);
    char order = '=';
    auto code = text;
    if (!code.empty() && (code[0] == '<' || code[0] == '>' || code[0] == '=' || code[0] == '|')) {
        order = code[0];
        code.remove_prefix(1);
    }
    return parse_letters(order, code, text);
}

// Recursive descent over the text of a structured dtype.
class RecordParser {
 public:
    explicit RecordParser(std::string_view text) : text_(text) {}

    DtypeMeaning parse() {
        DtypeMeaning meaning = list(0);
        skip_spaces();
        if (at_ != text_.size()) fail();
        return meaning;
    }

 private:
    [[noreturn]] void fail() const { refuse(text_, "is no NumPy dtype"); }
    void skip_spaces() {
        while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    }
    bool take(char c) {
        skip_spaces();
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    void expect(char c) {
        if (!take(c)) fail();
    }

    // A Python string literal, quotes and escapes as they stand.
    std::string_view literal() {
        skip_spaces();
        const std::size_t begin = at_;
        if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) fail();
        const char quote = text_[at_++];
        while (at_ < text_.size() && text_[at_] != quote) at_ += text_[at_] == '\\' ? 2 : 1;
        if (at_ >= text_.size()) fail();
        ++at_;
        return text_.substr(begin, at_ - begin);
    }

    std::string name() {
        if (!take('(')) return std::string(literal());
        std::string both = "(" + std::string(literal());
        expect(',');
        both += ", " + std::string(literal()) + ")";
        expect(')');
        return both;
    }

    // REQUIRES: no space is before it.
    std::uint64_t number() {
        const std::size_t begin = at_;
        while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
        return parse_count(text_.substr(begin, at_ - begin), text_);
    }

    // Multiplies the item's size by a subarray's shape; returns the text of the shape.
    std::string shape(std::uint64_t& itemsize) {
        std::string text = "(";
        const auto multiply = [&](std::uint64_t extent) {
            itemsize *= extent;  // both are below 2^31 here
            if (itemsize > kItemBytesMax) refuse(text_, "is larger than 2 GiB an element");
            text += std::to_string(extent) + ",";
        };
        if (!take('(')) {
            multiply(number());
            return text + ")";
        }
        bool first = true;
        while (!take(')')) {
            if (!first) text += " ";
            first = false;
            multiply(number());
            if (take(',')) continue;
            expect(')');
            break;
        }
        // Python prints one extent as (7,), more as (2, 3).
        if (std::count(text.begin(), text.end(), ',') > 1) text.pop_back();
        return text + ")";
    }

    DtypeMeaning field_type(int depth) {
        skip_spaces();
        if (at_ < text_.size() && text_[at_] == '[') return list(depth + 1);
        const auto quoted = literal();
        const Scalar scalar = parse_scalar(quoted.substr(1, quoted.size() - 2));
        return {"'" + scalar.canonical + "'", "'" + scalar.npy + "'", scalar.itemsize};
    }

    DtypeMeaning list(int depth) {
        if (depth > kDepthMax) refuse(text_, "is nested too deeply");
        expect('[');
        DtypeMeaning all{"[", "[", 0};
        std::set<std::string> labels;
        bool first = true;
        while (!take(']')) {
            if (!first) {
                expect(',');
                if (take(']')) break;
            }
            expect('(');
            const std::string label = name();
            if (label.size() > 2 && !labels.insert(label).second) {
                refuse(text_, "has two fields of one name");
            }
            expect(',');
            DtypeMeaning part = field_type(depth);
            std::string extents;
            if (take(',')) {
                skip_spaces();
                if (at_ < text_.size() && text_[at_] != ')') extents = ", " + shape(part.itemsize);
            }
            expect(')');
            const std::string comma = first ? "" : ", ";
            all.canonical += comma + "(" + label + ", " + part.canonical + extents + ")";
            all.npy_descr += comma + "(" + label + ", " + part.npy_descr + extents + ")";
            all.itemsize += part.itemsize;
            if (all.itemsize > kItemBytesMax) refuse(text_, "is larger than 2 GiB an element");
            first = false;
        }
        all.canonical += "]";
        all.npy_descr += "]";
        return all;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

DtypeMeaning parse_dtype(std::string_view text) {
    if (!is_plain_utf8(text)) throw Invalid("a dtype's text must be UTF-8 on one line");
    if (!text.empty() && text[0] == '[') return RecordParser(text).parse();
    const Scalar scalar = parse_scalar(text);
    return {scalar.canonical, "'" + scalar.npy + "'", scalar.itemsize};
}

}  // namespace ndshare::layout
