// api/operation.h: every error that leaves this library says what was tried, with what, and what to
// do: `[open] "cam/front": ...`. The floors below throw what they know; here they get both names.
// Threads: any. Blocks: no.
#pragma once
#include <string>
#include <string_view>

#include "base/check.h"
#include "ndshare/error.hpp"

namespace ndshare::api {

// Rethrows the exception in flight as Error with these names; Error itself and whatever the
// interrupt check threw pass unchanged.
[[noreturn]] void rethrow_named(const char* operation, std::string_view name);

template <class Body>
auto in_operation(const char* operation, std::string_view name, Body body) {
    try {
        return body();
    } catch (...) {
        rethrow_named(operation, name);
    }
}

}  // namespace ndshare::api
