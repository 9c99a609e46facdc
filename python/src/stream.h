// python/src/stream.h: the hot half of Publisher, Subscriber, Loan and Frame; the rest is in
// python/ndshare/_stream.py.
#pragma once
#include <nanobind/nanobind.h>

#include <optional>

#include "ndshare/wait.hpp"

namespace ndshare::python {

void init_stream(nanobind::module_& m);
// nullopt: it is no subscriber.
std::optional<Waitable> waitable_subscriber(nanobind::handle object);

}  // namespace ndshare::python
