// base/check.h: who is wrong, in one word each.
//
//   SystemError      the system said no (errno); thrown by NDSHARE_SYSCALL and platform/.
//   Invalid          the caller's argument is wrong; thrown by layout/ and api/.
//   CorruptBytes     bytes that another process wrote make no sense; thrown by layout/ and sync/.
//   NDSHARE_ASSERT   we are wrong; ends the process in test builds, costs nothing in release.
//
// None of them knows the array's name or the user's verb: api/operation.h adds both and makes an
// ndshare::Error of it. Threads: any. Processes: any. Blocks: no.
#pragma once
#include <cerrno>
#include <stdexcept>
#include <string>

namespace ndshare {

struct SystemError : std::runtime_error {
    SystemError(int error, const std::string& call);
    // This process, or the machine, has used up descriptors or memory.
    bool is_shortage() const noexcept;
    int error;
};

struct Invalid : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct CorruptBytes : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Something is there and may not be used, or a place is missing; the text has the remedy.
struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// It did not come free in time.
struct TimedOut : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Not enough room, found out before asking the kernel; the text has the numbers and the remedy.
struct NoRoom : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// In a catch clause that skips one of many: what we lack ourselves would hide all of them, and who
// finds none might remove what lives. Passes a shortage on; returns for everything else.
void rethrow_shortage();

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line) noexcept;

// Runs a call that answers -1 on failure, again while a signal interrupts it.
template <class Call>
auto retry_on_signal(Call call) {
    for (;;) {
        const auto result = call();
        if (result != -1 || errno != EINTR) return result;
    }
}

}  // namespace ndshare

// The result of a call that answers -1 with errno; SystemError otherwise. Retries EINTR.
#define NDSHARE_SYSCALL(name, call)                                            \
    ([&] {                                                                     \
        const auto result_ = ::ndshare::retry_on_signal([&] { return call; }); \
        if (result_ == -1) throw ::ndshare::SystemError(errno, name);          \
        return result_;                                                        \
    }())

#ifdef NDSHARE_CHECKED
#define NDSHARE_ASSERT(condition) \
    ((condition) ? void() : ::ndshare::assertion_failed(#condition, __FILE__, __LINE__))
#else
#define NDSHARE_ASSERT(condition) ((void)0)
#endif
