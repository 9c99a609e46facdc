// python/src/array.h: ndshare.Array's hot half; the rest is in python/ndshare/_array.py.
#pragma once
#include <nanobind/nanobind.h>

namespace ndshare::python {

void init_array(nanobind::module_& m);

}  // namespace ndshare::python
