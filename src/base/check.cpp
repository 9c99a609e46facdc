#include "base/check.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace ndshare {

SystemError::SystemError(int error_number, const std::string& call)
    : std::runtime_error(call + ": " + std::strerror(error_number)), error(error_number) {}

bool SystemError::is_shortage() const noexcept {
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

void rethrow_shortage() {
    try {
        throw;
    } catch (const SystemError& e) {
        if (e.is_shortage()) throw;
    } catch (const NoRoom&) {
        throw;
    } catch (const std::bad_alloc&) {
        throw;
    } catch (...) {
        // For the caller to skip.
    }
}

void assertion_failed(const char* condition, const char* file, int line) noexcept {
    std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    std::abort();
}

}  // namespace ndshare
