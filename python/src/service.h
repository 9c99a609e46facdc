// python/src/service.h: ndshare._core's part of Worker, Batch, Client and Call.
#pragma once
#include <optional>

#include "convert.h"

namespace ndshare::python {

void init_worker_side(nb::module_& m);  // worker.cpp
void init_client_side(nb::module_& m);  // client.cpp
std::optional<Waitable> waitable_call(nb::handle object);

}  // namespace ndshare::python
