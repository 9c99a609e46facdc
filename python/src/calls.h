// python/src/calls.h: what workers' batches and clients' calls have in common: fields that are
// filled. REQUIRES everywhere: the GIL is held.
#pragma once
#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "frames.h"
#include "numpy.h"

namespace ndshare::python {

// An object of a Python subclass of what is bound here, made without its __init__.
template <class T, class... Args>
nb::object make_as(nb::handle type, Args&&... args) {
    nb::object made = nb::inst_alloc(type);
    new (nb::inst_ptr<T>(made)) T(std::forward<Args>(args)...);
    nb::inst_mark_ready(made);
    return made;
}

inline Spec with_shape(const Spec& spec, std::span<const std::int64_t> shape) {
    Spec out = spec;
    out.shape.assign(shape.begin(), shape.end());
    out.maxshape.clear();
    return out;
}

// Copies value, whose dtype is the field's by now, to where the field lies.
inline void copy_to(const FieldView& field, nb::handle value) {
    std::optional<WithoutGil> released;
    const std::byte* from = data_of(value);
    if (field.nbytes >= kReleaseGilBytes) released.emplace();
    std::memcpy(const_cast<std::byte*>(field.data), from, field.nbytes);
}

inline bool is_same_shape(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace ndshare::python
