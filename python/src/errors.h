// python/src/errors.h: ndshare::Error becomes the Python exception of its code (ndshare._errors).
#pragma once

namespace ndshare::python {

void install_error_translation();

}  // namespace ndshare::python
