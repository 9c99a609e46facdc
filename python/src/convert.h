// python/src/convert.h: the last place where anyone speaks Python: times, shapes, specs.
// REQUIRES everywhere: the GIL is held. Errors: Python's, by nb::python_error.
#pragma once
#include <nanobind/nanobind.h>

#include "ndshare/ndshare.hpp"

namespace ndshare::python {

namespace nb = nanobind;

// timeout=: seconds as float, None for ever; a bool is a TypeError, NaN a ValueError.
Timeout to_timeout(nb::handle seconds);
// spin=: seconds, None adaptive.
Timeout to_spin(nb::handle seconds);
Shape to_shape(nb::handle tuple);
nb::tuple from_shape(const Shape& shape);
// The Python Spec of a C++ one.
nb::object from_spec(const Spec& spec);

}  // namespace ndshare::python
