#include "platform/clock.h"

#include <atomic>
#include <ctime>

#include "platform/time_namespace.h"

namespace ndshare::platform {
namespace {
std::int64_t read_ns(clockid_t clock) noexcept {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}
}  // namespace

std::int64_t monotonic_ns() noexcept {
    return read_ns(CLOCK_MONOTONIC) - time_namespace_offset_ns();
}
std::int64_t realtime_ns() noexcept { return read_ns(CLOCK_REALTIME); }

Instant now() noexcept {
    constexpr std::int64_t kLookAgainNs = 100'000'000;
    // Two words that belong together, each valid for itself: a mixture is off by what the clocks
    // drifted apart in 100 ms.
    static std::atomic<std::int64_t> distance_ns{0}, looked_ns{0};
    const std::int64_t monotonic = monotonic_ns();
    if (looked_ns.load() == 0 || monotonic - looked_ns.load() > kLookAgainNs) {
        distance_ns.store(realtime_ns() - monotonic);
        looked_ns.store(monotonic);
    }
    return {monotonic, monotonic + distance_ns.load()};
}

void sleep_ns(std::int64_t ns) noexcept {
    const timespec time{static_cast<time_t>(ns / 1'000'000'000),
                        static_cast<long>(ns % 1'000'000'000)};
    (void)nanosleep(&time, nullptr);
}

}  // namespace ndshare::platform
