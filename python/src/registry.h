// python/src/registry.h: ls, info, unlink, footprint.
#pragma once
#include <nanobind/nanobind.h>

namespace ndshare::python {

void init_registry(nanobind::module_& m);

}  // namespace ndshare::python
