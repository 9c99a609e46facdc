// platform/copy_choice.h: which of two ways of copying is the cheaper one here, learned from the
// copies themselves. Pure: the caller copies and measures. Threads: one at a time, but for
// is_past(). Processes: each learns for itself. Blocks: no.
//
// What is copied comes in runs of as many bytes as are copied in turn before the first of them are
// copied again: a way's price is that of a run of its own that follows another such run, so that
// what the cache has to write back is its own. After a trial it rests, the longer the more trials
// in sequence have changed nothing: a machine may move its processes to other cores.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace ndshare::platform {

class CopyChoice {
 public:
    // Until the first trial says otherwise.
    explicit constexpr CopyChoice(bool is_past) noexcept : is_past_(is_past) {}

    // The next copy goes past the cache.
    bool is_past() const noexcept { return is_past_.load(); }
    // note() wants the next copy's time.
    bool is_measuring() const noexcept { return phase_ == Phase::used || phase_ == Phase::other; }

    // A copy is done. took_ns: if is_measuring(), what it cost. run_bytes: the length of a run.
    void note(std::size_t bytes, std::int64_t took_ns, std::size_t run_bytes) noexcept {
        const auto size = static_cast<double>(bytes);
        cheapest_ = std::min(cheapest_, static_cast<double>(took_ns) / size);
        // Who was interrupted has not copied slowly.
        spent_ns_ += std::min(static_cast<double>(took_ns), kDearest * cheapest_ * size);
        seen_bytes_ += bytes;
        if (seen_bytes_ < run_bytes) return;
        const double price = spent_ns_ / static_cast<double>(seen_bytes_);
        spent_ns_ = 0;
        seen_bytes_ = 0;
        cheapest_ = kNone;
        switch (phase_) {
            case Phase::rest:
                if (--rests_left_ <= 0) phase_ = Phase::used;
                break;
            case Phase::used:
                used_price_ = price;
                change_way();
                phase_ = Phase::warm_up;
                break;
            case Phase::warm_up:
                phase_ = Phase::other;
                break;
            case Phase::other:
                if (price < used_price_ * kWorthwhile) {
                    rests_ = kRestsMin;
                } else {
                    change_way();
                    rests_ = std::min(rests_ * kRestsGrowth, kRestsMax);
                }
                rests_left_ = rests_;
                phase_ = Phase::rest;
        }
    }

    static constexpr int kRestsMin = 32, kRestsGrowth = 4, kRestsMax = 512;
    static constexpr double kWorthwhile = 0.95;  // of the price: less is noise
    static constexpr double kDearest = 2;        // of the cheapest copy's price, of those so far

 private:
    // Runs: rest, then one of the way in use, two of the other, of which the second counts.
    enum class Phase : std::uint8_t { rest, used, warm_up, other };

    static constexpr double kNone = std::numeric_limits<double>::max();

    void change_way() noexcept { is_past_.store(!is_past()); }

    std::atomic<bool> is_past_;  // the rest belongs to who learns
    Phase phase_ = Phase::rest;
    int rests_ = kRestsMin / kRestsGrowth, rests_left_ = 1;  // the first run also meets fresh pages
    std::size_t seen_bytes_ = 0;
    double spent_ns_ = 0, cheapest_ = kNone, used_price_ = 0;
};

}  // namespace ndshare::platform
