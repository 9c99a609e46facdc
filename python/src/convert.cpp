#include "convert.h"

#include <nanobind/stl/string.h>

#include <cmath>
#include <string>

#include "numpy.h"

namespace ndshare::python {

namespace {

std::string text_of(const char* operation, std::string_view name, const char* text) {
    return "[" + std::string(operation) + "] \"" + std::string(name) + "\": " + text;
}

// number of seconds, or a TypeError with that text.
double to_seconds(nb::handle seconds, const char* operation, std::string_view name,
                  const char* otherwise) {
    if (PyFloat_CheckExact(seconds.ptr())) return PyFloat_AS_DOUBLE(seconds.ptr());
    const double value = is_bool(seconds) ? -1.0 : PyFloat_AsDouble(seconds.ptr());
    if (is_bool(seconds) || (value == -1.0 && PyErr_Occurred() != nullptr)) {
        PyErr_Clear();
        throw nb::type_error(text_of(operation, name, otherwise).c_str());
    }
    return value;
}

// forever: what cannot be counted in ns.
Timeout from_seconds(double value) {
    if (value <= 0) return Timeout(0);
    const double ns = std::ceil(value * 1e9);
    return ns >= 9.2e18 ? forever : Timeout(static_cast<std::int64_t>(ns));
}

}  // namespace

Timeout to_timeout(nb::handle seconds, const char* operation, std::string_view name) {
    if (seconds.is_none()) return forever;
    const double value =
        to_seconds(seconds, operation, name,
                   "timeout must be seconds as a float, or None for ever; no bool, no text");
    if (std::isnan(value)) {
        throw nb::value_error(
            text_of(operation, name, "timeout must not be NaN; None waits for ever").c_str());
    }
    return from_seconds(value);
}

Timeout to_spin(nb::handle seconds, const char* operation, std::string_view name) {
    if (seconds.is_none()) return Timeout(-1);
    const double value =
        to_seconds(seconds, operation, name, "spin must be seconds as a float, or None: adaptive");
    // Longer spinning is a mistake in units, and deaf to signals meanwhile.
    if (!(value <= 0.05)) {
        throw nb::value_error(
            text_of(operation, name, "spin is in seconds, at most 0.05; 0 sleeps at once").c_str());
    }
    return from_seconds(value);
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
    const char* order = spec.order == Order::c ? "C" : "F";
    if (spec.maxshape.empty()) return type(from_shape(spec.shape), dtype_of(spec), order);
    return type(nb::none(), dtype_of(spec), order, nb::arg("maxshape") = from_shape(spec.maxshape));
}

nb::object from_fields(const Fields& fields, bool is_object) {
    if (is_object) {
        static nb::handle of_objects =
            nb::object(nb::module_::import_("ndshare._spec").attr("OBJECT_SPEC")).release();
        return nb::borrow(of_objects);
    }
    if (fields.size() == 1 && fields.front().first.empty()) return from_spec(fields.front().second);
    nb::dict all;
    for (const auto& [name, spec] : fields) all[name.c_str()] = from_spec(spec);
    return all;
}

Spec spec_from(nb::handle item) {
    const auto parts = nb::cast<nb::tuple>(item);
    Spec spec;
    if (!parts[0].is_none()) spec.shape = to_shape(parts[0]);
    if (!parts[1].is_none()) spec.maxshape = to_shape(parts[1]);
    spec.dtype = Dtype(nb::cast<std::string>(parts[2]));
    spec.aligned = nb::cast<bool>(parts[3]);
    spec.order = nb::cast<bool>(parts[4]) ? Order::fortran : Order::c;
    return spec;
}

}  // namespace ndshare::python
