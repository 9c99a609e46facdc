// api/views.h: what callers get of memory: a field as it lies in a slot, and only as what it is.
// Threads: any. Blocks: no.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "layout/stream.h"
#include "ndshare/spec.hpp"
#include "ndshare/stream.hpp"

namespace ndshare::api {

// Errors: spec_mismatch.
void require_view(const char* operation, std::string_view name, const Spec& spec,
                  const Dtype& dtype, std::size_t rank);

// What a field of one slot looks like. begin: what the plan's offsets count from. extents: of this
// frame or call, where the field has a shape of its own in each; the view refers to them.
inline FieldView view_of(const Spec& spec, const layout::Field& field, const std::byte* begin,
                         std::size_t slot, std::span<const std::int64_t> extents) {
    FieldView view{&spec, field.shape, begin + field.offset_bytes + slot * field.stride_bytes,
                   field.max_bytes};
    if (!field.variable) return view;
    view.shape = extents;
    view.nbytes = field.itemsize;
    for (const std::int64_t extent : extents) view.nbytes *= static_cast<std::size_t>(extent);
    return view;
}

// Errors: Invalid (a fixed shape, beyond maxshape).
void require_resizable(const layout::Field& field, const Spec& spec, const Shape& shape);
// The extents of all variable fields of a slot, one after the other, checked: another process wrote
// them. Errors: CorruptBytes.
void read_extents(const std::vector<layout::Field>& fields, const std::byte* begin,
                  std::uint64_t slot_offset_bytes, std::vector<std::int64_t>& extents);
// Where those of field index begin.
std::span<const std::int64_t> extents_of(const std::vector<layout::Field>& fields,
                                         std::size_t index, std::span<const std::int64_t> extents);

}  // namespace ndshare::api
