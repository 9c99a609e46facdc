#include "platform/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

#include "platform/clock.h"
#include "platform/time_namespace.h"

namespace ndshare::platform {
namespace {

timespec to_timespec(std::int64_t ns) noexcept {
    return {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
}

#ifndef SYS_futex_waitv
constexpr long SYS_futex_waitv = 449;  // the same number on every architecture
#endif
// <linux/futex.h> of older distributions lacks it.
struct WaitvEntry {
    std::uint64_t expected, address;
    std::uint32_t flags, reserved;
};
constexpr std::uint32_t kWaitv32Bits = 2;

}  // namespace

void futex_wait(const std::uint32_t* word, std::uint32_t expected,
                std::int64_t timeout_ns) noexcept {
    const timespec timeout = to_timespec(timeout_ns);
    syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout_ns == kForeverNs ? nullptr : &timeout,
            nullptr, 0);
}

void futex_wake_all(std::uint32_t* word) noexcept {
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void futex_wake_one(std::uint32_t* word) noexcept {
    syscall(SYS_futex, word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

bool futex_wait_any(std::span<const FutexWord> words, std::int64_t timeout_ns) noexcept {
    std::array<WaitvEntry, kFutexWordsMax> entries{};
    for (std::size_t k = 0; k < words.size(); ++k) {
        entries[k] = {words[k].expected, reinterpret_cast<std::uintptr_t>(words[k].word),
                      kWaitv32Bits, 0};
    }
    // Absolute, unlike futex_wait, and on the clock of our own time namespace.
    const timespec end = to_timespec(monotonic_ns() + time_namespace_offset_ns() + timeout_ns);
    const long result = syscall(SYS_futex_waitv, entries.data(),
                                static_cast<unsigned>(words.size()), 0U, &end, CLOCK_MONOTONIC);
    return result >= 0 || (errno != ENOSYS && errno != EPERM);
}

}  // namespace ndshare::platform
