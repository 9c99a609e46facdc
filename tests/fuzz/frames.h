// fuzz/frames.h: what a user may rely on of a frame, looked at. Threads: one.
#pragma once
#include <string>

#include "fuzz/memory.h"
#include "layout/dtype.h"
#include "layout/stream.h"
#include "ndshare/stream.hpp"

namespace ndshare::fuzz {

// shape within maxshape, bytes as many as it says, and all of them there to be read. calls: of a
// batch, which has a leading axis; 0: none.
inline std::string wrong_field(const FieldView& view, std::size_t calls = 0) {
    const Shape& most = view.spec->maxshape.empty() ? view.spec->shape : view.spec->maxshape;
    const std::size_t leading = calls == 0 ? 0 : 1;
    if (view.shape.size() != most.size() + leading) return "rank of a field";
    if (leading == 1 && view.shape[0] != static_cast<std::int64_t>(calls)) return "leading axis";
    std::size_t bytes = layout::parse_dtype(view.spec->dtype.str()).itemsize;
    for (std::size_t axis = 0; axis < most.size(); ++axis) {
        const std::int64_t extent = view.shape[axis + leading];
        if (extent < 0 || extent > most[axis]) return "an extent beyond its maxshape";
        bytes *= static_cast<std::size_t>(extent);
    }
    if (view.nbytes != bytes * (calls == 0 ? 1 : calls)) return "bytes of a field";
    touch(view.data, view.nbytes);
    return {};
}

inline std::string wrong_frame(const Frame& frame) {
    if (frame.attrs_json().size() > layout::kFrameAttrsBytes) return "length of a frame's attrs";
    for (std::size_t k = 0; k < frame.field_count(); ++k) {
        const std::string wrong = wrong_field(frame.field(k));
        if (!wrong.empty()) return wrong;
    }
    (void)frame.age();
    return {};
}

}  // namespace ndshare::fuzz
