// layout/fields.h: named arrays that belong together, in a frame or in a call, and the text that
// the descriptor keeps of them: a line each of name, flags, shape, dtype, tabs between. The shape
// is the largest one where it may differ (flag v). Flags: v variable, f Fortran order, a aligned, o
// object, r result of a call. Values only. Threads: any. Blocks: no.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ndshare::layout {

inline constexpr std::size_t kFieldsMax = 64;
inline constexpr std::uint64_t kFieldAlignment = 64;

// One of a frame's, or of a call's, arrays.
struct Field {
    std::string name;                 // "" where it is the only one
    std::string dtype;                // canonical
    std::vector<std::int64_t> shape;  // the largest extents where variable
    bool variable = false, fortran = false, aligned = false;
    bool object = false;  // a pickled value; its shape is the largest size in bytes
    bool result = false;  // services: an output
    // Derived.
    std::string npy_descr;
    std::uint64_t itemsize = 0, max_bytes = 0;
    // Of slot s: offset_bytes + s * stride_bytes from what the owner of the plan calls its begin.
    std::uint64_t offset_bytes = 0, stride_bytes = 0;
    std::uint64_t shape_offset_bytes = 0;  // of its extents in the slot's extras, where variable
};

// Canonical dtype, sizes. Throws Invalid for names, shapes and dtypes that cannot be, for none, too
// many, and for two of one name (results apart).
void complete_fields(std::vector<Field>& fields);
// The text and back; what is read is not completed. Throws Invalid.
std::string fields_text(const std::vector<Field>& fields);
std::vector<Field> parse_field_lines(std::string_view text);
// "('name', descr, (2, 3,))" as NumPy's descriptions of records say it; slots: a leading axis, 0:
// none.
std::string npy_descr_of(const Field& field, std::size_t slots);
// "('', '|V9')": bytes that NumPy skips.
std::string npy_descr_of_padding(std::uint64_t bytes);

// Lays things out one after the other. Throws Invalid beyond 2^62 bytes.
class Cursor {
 public:
    // Where bytes begin that are asked for next.
    std::uint64_t advance(std::uint64_t bytes, std::uint64_t alignment);
    std::uint64_t at() const { return at_; }

 private:
    std::uint64_t at_ = 0;
};

}  // namespace ndshare::layout
