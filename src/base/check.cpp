#include "base/check.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ndshare {

SystemError::SystemError(int error_number, const std::string& call)
    : std::runtime_error(call + ": " + std::strerror(error_number)), error(error_number) {}

void assertion_failed(const char* condition, const char* file, int line) noexcept {
    std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    std::abort();
}

}  // namespace ndshare
