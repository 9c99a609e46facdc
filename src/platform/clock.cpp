#include "platform/clock.h"

#include <ctime>

namespace ndshare::platform {
namespace {
std::int64_t read_ns(clockid_t clock) noexcept {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}
}  // namespace

std::int64_t monotonic_ns() noexcept { return read_ns(CLOCK_MONOTONIC); }
std::int64_t realtime_ns() noexcept { return read_ns(CLOCK_REALTIME); }

void sleep_ns(std::int64_t ns) noexcept {
    const timespec time{static_cast<time_t>(ns / 1'000'000'000),
                        static_cast<long>(ns % 1'000'000'000)};
    (void)nanosleep(&time, nullptr);
}

}  // namespace ndshare::platform
