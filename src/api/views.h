// api/views.h: what callers get of memory: a field as it lies in a slot, and only as what it is.
// Threads: any. Blocks: no.
#pragma once
#include <span>
#include <string_view>

#include "layout/stream.h"
#include "ndshare/spec.hpp"
#include "ndshare/stream.hpp"

namespace ndshare::api {

// Errors: spec_mismatch.
void require_view(const char* operation, std::string_view name, const Spec& spec,
                  const Dtype& dtype, std::size_t rank);

// extents: of this frame, where the field has a shape of its own in each; looked at by the view.
inline FieldView view_of(const Spec& spec, const layout::Field& field, const std::byte* slot,
                         std::span<const std::int64_t> extents) {
    FieldView view{&spec, field.shape, slot + field.offset_bytes, field.max_bytes};
    if (!field.variable) return view;
    view.shape = extents;
    view.nbytes = field.itemsize;
    for (const std::int64_t extent : extents) view.nbytes *= static_cast<std::size_t>(extent);
    return view;
}

}  // namespace ndshare::api
