// python/src/convert.h: the last place where anyone speaks Python: times, shapes, specs.
// REQUIRES everywhere: the GIL is held. Errors: Python's, by nb::python_error.
#pragma once
#include <nanobind/nanobind.h>
#include "gil.h"

#include <string_view>

#include "ndshare/ndshare.hpp"

namespace ndshare::python {

namespace nb = nanobind;

// timeout=: seconds as float, None for ever; a bool is a TypeError, NaN a ValueError. operation and
// name are for the text: of what, of which array.
Timeout to_timeout(nb::handle seconds, const char* operation, std::string_view name);
// spin=: seconds, None adaptive.
Timeout to_spin(nb::handle seconds, const char* operation, std::string_view name);
Shape to_shape(nb::handle tuple);
nb::tuple from_shape(const Shape& shape);
// (shape or None, maxshape or None, dtype text, aligned, Fortran order): a Spec as the package's
// Python part hands it over.
Spec spec_from(nb::handle item);
// The Python Spec of a C++ one.
nb::object from_spec(const Spec& spec);
// That of a stream: one Spec, or a dict of them.
nb::object from_fields(const Fields& fields, bool is_object);

}  // namespace ndshare::python
