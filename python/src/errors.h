// python/src/errors.h: ndshare::Error becomes the Python exception of its code (ndshare._errors).
#pragma once
#include "ndshare/error.hpp"

namespace ndshare::python {

// REQUIRES: the GIL is held.
void set_error(const Error& error);
void install_error_translation();

}  // namespace ndshare::python
