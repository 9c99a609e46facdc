// python/src/service.h: ndshare._core's part of Worker, Batch, Client and Call.
#pragma once
#include <optional>

#include "convert.h"

namespace ndshare::python {

void init_service(nb::module_& m);
std::optional<Waitable> waitable_call(nb::handle object);

}  // namespace ndshare::python
