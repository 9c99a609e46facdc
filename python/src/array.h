// python/src/array.h: ndshare.Array's hot half; the rest is in python/ndshare/_array.py.
#pragma once
#include <nanobind/nanobind.h>

#include <optional>

#include "ndshare/wait.hpp"

namespace ndshare::python {

void init_array(nanobind::module_& m);
// nullopt: it is no array.
std::optional<Waitable> waitable_array(nanobind::handle object);

}  // namespace ndshare::python
