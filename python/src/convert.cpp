#include "convert.h"

#include <cmath>

#include "numpy.h"

namespace ndshare::python {

Timeout to_timeout(nb::handle seconds) {
    if (seconds.is_none()) return forever;
    if (PyBool_Check(seconds.ptr())) {
        throw nb::type_error("timeout must be seconds as a float, or None for ever; not a bool");
    }
    const double value = PyFloat_AsDouble(seconds.ptr());
    if (value == -1.0 && PyErr_Occurred() != nullptr) {
        PyErr_Clear();
        throw nb::type_error("timeout must be seconds as a float, or None for ever");
    }
    if (std::isnan(value)) throw nb::value_error("timeout must not be NaN");
    if (value <= 0) return Timeout(0);
    const double ns = std::ceil(value * 1e9);
    if (ns >= 9.2e18) return forever;
    return Timeout(static_cast<std::int64_t>(ns));
}

Timeout to_spin(nb::handle seconds) {
    if (seconds.is_none()) return Timeout(-1);
    const Timeout spin = to_timeout(seconds);
    // Longer spinning is a mistake in units, and deaf to signals meanwhile.
    if (spin > std::chrono::milliseconds(50)) {
        throw nb::value_error("spin is in seconds, at most 0.05; 0 sleeps at once");
    }
    return spin;
}

Shape to_shape(nb::handle tuple) {
    Shape shape;
    for (const nb::handle extent : nb::borrow<nb::tuple>(tuple)) {
        const long long value = PyLong_AsLongLong(extent.ptr());
        if (value == -1 && PyErr_Occurred() != nullptr) nb::raise_python_error();
        shape.push_back(value);
    }
    return shape;
}

nb::tuple from_shape(const Shape& shape) {
    nb::list out;
    for (const auto extent : shape) out.append(nb::int_(extent));
    return nb::tuple(out);
}

nb::object from_spec(const Spec& spec) {
    // Never destroyed: the last handle may go while the interpreter ends.
    static nb::handle type =
        nb::object(nb::module_::import_("ndshare._spec").attr("Spec")).release();
    return type(from_shape(spec.shape), dtype_of(spec), spec.order == Order::c ? "C" : "F");
}

}  // namespace ndshare::python
