// ndshare/ndshare.hpp: everything a C++ user may say.
#pragma once
#include "ndshare/array.hpp"
#include "ndshare/error.hpp"
#include "ndshare/registry.hpp"
#include "ndshare/service.hpp"
#include "ndshare/spec.hpp"
#include "ndshare/stream.hpp"
#include "ndshare/version.hpp"
#include "ndshare/view.hpp"
#include "ndshare/wait.hpp"
