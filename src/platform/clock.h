// platform/clock.h: time as nanoseconds in an int64, and a deadline. Threads: any. Blocks: no.
#pragma once
#include <cstdint>
#include <limits>

namespace ndshare::platform {

// The machine's CLOCK_MONOTONIC, the same in every time namespace: processes may compare it.
std::int64_t monotonic_ns() noexcept;
std::int64_t realtime_ns() noexcept;  // CLOCK_REALTIME

// The same instant on both clocks, for the price of one: the distance between them is looked at
// again every 100 ms, so a step of the realtime clock is seen that late.
struct Instant {
    std::int64_t monotonic_ns, realtime_ns;
};
Instant now() noexcept;

// Ends early on a signal. Blocks: yes.
void sleep_ns(std::int64_t ns) noexcept;

inline constexpr std::int64_t kForeverNs = std::numeric_limits<std::int64_t>::max();

// The instant at which a timeout ends; kForeverNs never does, 0 and less are over at once.
class Deadline {
 public:
    explicit Deadline(std::int64_t timeout_ns) noexcept {
        if (timeout_ns == kForeverNs) return;
        const std::int64_t now = timeout_ns <= 0 ? 0 : monotonic_ns();
        if (__builtin_add_overflow(now, timeout_ns, &end_ns_)) end_ns_ = kForeverNs;
    }
    bool is_forever() const noexcept { return end_ns_ == kForeverNs; }
    std::int64_t left_ns() const noexcept {
        if (is_forever()) return kForeverNs;
        if (end_ns_ <= 0) return 0;
        const std::int64_t left = end_ns_ - monotonic_ns();
        return left > 0 ? left : 0;
    }
    bool passed() const noexcept { return left_ns() == 0; }

 private:
    std::int64_t end_ns_ = kForeverNs;
};

}  // namespace ndshare::platform
