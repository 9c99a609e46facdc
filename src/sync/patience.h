// sync/patience.h: how a wait waits. It looks for a moment (spinning, where there is a second CPU),
// then sleeps in slices of 20 to 80 ms. Between slices it asks its caller whether to go on: that is
// how close() from another thread, a signal, the death of a peer and a wake that was lost with its
// sender are noticed, each within 100 ms, without a heartbeat.
// Threads: one a Patience; SpinBudget any.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>

#include "platform/clock.h"
#include "platform/cpu.h"

namespace ndshare::sync {

inline constexpr std::int64_t kSliceFirstNs = 20'000'000;
inline constexpr std::int64_t kSliceMaxNs = 80'000'000;
inline constexpr std::int64_t kAskPeriodNs = 15'000'000;

// How long the waits of one handle look before they sleep: longer after a look that was answered,
// shorter after one in vain. Relaxed throughout: a stale value spins a little longer or shorter.
class SpinBudget {
 public:
    // negative: adaptive; 0: never; else that long.
    explicit SpinBudget(std::int64_t fixed_ns = -1) : fixed_ns_(fixed_ns) {}
    std::int64_t ns() const noexcept {
        if (platform::online_cpu_count() < 2) return 0;
        return fixed_ns_ >= 0 ? fixed_ns_ : adaptive_ns_.load(std::memory_order_relaxed);
    }
    void answered() noexcept {
        set(std::min(ns() * 2, kMaxNs));
        end_trial(pause_.load(std::memory_order_relaxed) / 2);
    }
    void in_vain() noexcept {
        set(std::max(ns() / 2, kMinNs));
        if (!on_trial_.load(std::memory_order_relaxed)) return;
        end_trial(std::clamp(pause_.load(std::memory_order_relaxed) * 2, 1, kPauseMax));
    }
    // The answer came soon after we went to sleep: a longer look might have caught it. Without this
    // two sides that answer each other never look long enough again after one slow answer, because
    // a wake-up alone takes longer than the shrunken look. But one that needs our CPU answers
    // because we sleep, however long we look: trials in vain are repeated ever more seldom.
    void just_missed() noexcept {
        const int left = pause_left_.load(std::memory_order_relaxed);
        if (left > 0) return pause_left_.store(left - 1, std::memory_order_relaxed);
        on_trial_.store(true, std::memory_order_relaxed);
        set(kMaxNs);
    }
    static constexpr std::int64_t kMinNs = 2'000, kMaxNs = 50'000;
    static constexpr int kPauseMax = 256;

 private:
    void set(std::int64_t value) noexcept { adaptive_ns_.store(value, std::memory_order_relaxed); }
    void end_trial(int pause) noexcept {
        pause_.store(pause, std::memory_order_relaxed);
        pause_left_.store(pause, std::memory_order_relaxed);
        on_trial_.store(false, std::memory_order_relaxed);
    }
    const std::int64_t fixed_ns_;
    std::atomic<std::int64_t> adaptive_ns_{20'000};
    std::atomic<bool> on_trial_{false};  // the next look is a long one for a near miss
    // So many near misses are passed over between two trials; what is left of them.
    std::atomic<int> pause_{0}, pause_left_{0};
};

// Called around the part of a wait that spins or sleeps; see set_blocking_hooks().
struct BlockHooks {
    void* (*before)() noexcept = nullptr;
    void (*after)(void* token) noexcept = nullptr;
};
inline BlockHooks g_block_hooks;  // set once, before other threads wait

class Patience {
 public:
    // go_on: called between slices; throws to end the wait. May be empty.
    Patience(std::int64_t timeout_ns, SpinBudget& spin, std::function<void()> go_on = {})
        : deadline_(timeout_ns), spin_(spin), go_on_(std::move(go_on)) {}
    ~Patience() {
        if (token_ != nullptr) g_block_hooks.after(token_);
    }
    Patience(const Patience&) = delete;

    bool over() const noexcept { return deadline_.passed(); }
    std::int64_t left_ns() const noexcept { return deadline_.left_ns(); }

    // Looks until look() is true or the budget is spent; true when it was.
    template <class Look>
    bool spin_until(Look look) {
        if (look()) return true;
        const std::int64_t budget = std::min(spin_.ns(), left_ns());
        if (budget <= 0) return false;
        begin_blocking();
        const std::int64_t end = platform::monotonic_ns() + budget;
        do {
            for (int k = 0; k < 32; ++k) {
                platform::spin_pause();
                if (look()) {
                    spin_.answered();
                    return true;
                }
            }
        } while (platform::monotonic_ns() < end);
        spin_.in_vain();
        spun_in_vain_ = true;
        return false;
    }

    // The next sleep's length; each is longer than the one before.
    std::int64_t next_slice_ns() noexcept {
        begin_sleep();
        const std::int64_t slice = std::min(slice_ns_, left_ns());
        slice_ns_ = std::min(slice_ns_ * 2, kSliceMaxNs);
        return slice;
    }
    // How long a reader's turn may stand still before it is passed over.
    std::int64_t turn_slice_ns() noexcept {
        begin_sleep();
        return std::min(kSliceFirstNs, left_ns());
    }
    // After every sleep. Asks at most every 15 ms: a busy exchange of wakes must not pay for it
    // each time, and the next slice's end is never more than 80 ms away.
    void ask_whether_to_go_on() {
        const std::int64_t now = platform::monotonic_ns();
        if (spun_in_vain_ && now - slept_from_ns_ < 2 * SpinBudget::kMaxNs) spin_.just_missed();
        spun_in_vain_ = false;
        if (now - asked_ns_ < kAskPeriodNs) return;
        asked_ns_ = now;
        if (go_on_) go_on_();
    }

 private:
    void begin_sleep() noexcept {
        begin_blocking();
        slept_from_ns_ = platform::monotonic_ns();
        if (asked_ns_ == 0) asked_ns_ = slept_from_ns_;
    }
    void begin_blocking() noexcept {
        if (token_ == nullptr && g_block_hooks.before != nullptr) token_ = g_block_hooks.before();
    }
    platform::Deadline deadline_;
    SpinBudget& spin_;
    void* token_ = nullptr;
    std::function<void()> go_on_;
    std::int64_t slice_ns_ = kSliceFirstNs;
    std::int64_t slept_from_ns_ = 0, asked_ns_ = 0;  // monotonic; 0: not yet
    bool spun_in_vain_ = false;
};

}  // namespace ndshare::sync
