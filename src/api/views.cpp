#include "api/views.h"

#include <cstring>

#include "base/check.h"
#include "ndshare/error.hpp"

namespace ndshare::api {

void require_view(const char* operation, std::string_view name, const Spec& spec,
                  const Dtype& dtype, std::size_t rank) {
    const std::size_t own = spec.maxshape.empty() ? spec.shape.size() : spec.maxshape.size();
    if (rank == own && dtype == spec.dtype) return;
    throw Error(Errc::spec_mismatch, operation, std::string(name),
                "asked for " + std::to_string(rank) + " dimensions of dtype " + dtype.str() +
                    ", it has " + to_string(spec));
}

void require_resizable(const layout::Field& field, const Spec& spec, const Shape& shape) {
    if (!field.variable) {
        throw Invalid("its shape is fixed; shapes that differ are declared with maxshape=");
    }
    bool fits = shape.size() == field.shape.size();
    for (std::size_t axis = 0; fits && axis < shape.size(); ++axis) {
        fits = shape[axis] >= 0 && shape[axis] <= field.shape[axis];
    }
    if (fits) return;
    throw Invalid(to_string(Spec{.shape = shape, .dtype = spec.dtype}) + " is beyond " +
                  to_string(spec));
}

void read_extents(const std::vector<layout::Field>& fields, const std::byte* begin,
                  std::uint64_t slot_offset_bytes, std::vector<std::int64_t>& extents) {
    for (const auto& field : fields) {
        if (!field.variable) continue;
        const std::byte* at = begin + slot_offset_bytes + field.shape_offset_bytes;
        for (std::size_t axis = 0; axis < field.shape.size(); ++axis) {
            std::int64_t extent = 0;
            std::memcpy(&extent, at + axis * sizeof extent, sizeof extent);
            if (extent < 0 || extent > field.shape[axis]) {
                throw CorruptBytes("a shape is beyond its maxshape");
            }
            extents.push_back(extent);
        }
    }
}

std::span<const std::int64_t> extents_of(const std::vector<layout::Field>& fields,
                                         std::size_t index, std::span<const std::int64_t> extents) {
    if (!fields[index].variable) return {};
    std::size_t at = 0;
    for (std::size_t k = 0; k < index; ++k) {
        if (fields[k].variable) at += fields[k].shape.size();
    }
    return extents.subspan(at, fields[index].shape.size());
}

}  // namespace ndshare::api
