#include "ndshare/spec.hpp"

#include "base/check.h"
#include "layout/dtype.h"

namespace ndshare {
namespace {

std::string meaning_of(const std::string& text) {
    try {
        return layout::parse_dtype(text).canonical;
    } catch (const Invalid&) {
        return text;  // no dtype: equal to itself only
    }
}

}  // namespace

bool operator==(const Dtype& a, const Dtype& b) {
    return a.descr_ == b.descr_ || meaning_of(a.descr_) == meaning_of(b.descr_);
}

std::string to_string(const Spec& spec) {
    const Shape& shape = spec.maxshape.empty() ? spec.shape : spec.maxshape;
    std::string text = spec.maxshape.empty() ? "shape (" : "maxshape (";
    for (std::size_t k = 0; k < shape.size(); ++k) {
        text += (k == 0 ? "" : " ") + std::to_string(shape[k]);
        if (k + 1 < shape.size() || shape.size() == 1) text += ",";
    }
    text += "), dtype " + meaning_of(spec.dtype.str());
    if (spec.order == Order::fortran) text += ", Fortran order";
    return text;
}

}  // namespace ndshare
