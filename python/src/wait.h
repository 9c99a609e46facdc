// python/src/wait.h: waiting for several things at once.
#pragma once
#include <nanobind/nanobind.h>

namespace ndshare::python {

void init_wait(nanobind::module_& m);

}  // namespace ndshare::python
