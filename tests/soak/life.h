// soak/life.h: what a child of the campaign has: a random source of its own, its line in the
// ledger, and a way to say that something is wrong. Threads: one. Processes: its own.
#pragma once
#include <chrono>
#include <cstdint>
#include <random>
#include <string>

#include "ledger.h"

namespace ndshare::soak {

// Nobody waits longer for anything: whoever does has found a hang.
inline constexpr std::chrono::seconds kPatience{30};
// After about so many operations a child leaves by itself, if it was not killed before.
inline constexpr std::uint64_t kLeaves = 40'000;

class Life {
 public:
    // id: never used twice in a campaign. canary: what it is to do wrong, empty: nothing.
    Life(Entry& entry, std::uint64_t id, std::uint64_t seed, std::string canary);

    std::uint64_t id() const { return id_; }
    bool is_canary(const char* which) const { return canary_ == which; }
    std::uint64_t below(std::uint64_t end) { return random_() % end; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    // In the child of a fork: it would draw what its parent draws.
    void draw_otherwise(std::uint64_t how) { random_.seed(random_() ^ how); }

    void now(Doing what) {
        entry_.doing.store(static_cast<std::uint32_t>(what), std::memory_order_relaxed);
        entry_.beats.fetch_add(1, std::memory_order_relaxed);
    }
    void did(Doing what, std::uint64_t times = 1) {
        entry_.done[static_cast<std::size_t>(what)].fetch_add(times, std::memory_order_relaxed);
        now(Doing::between);
    }
    // Before the first frame is taken, and after the last one was let go.
    void may_hold_frames(bool may);
    void forked() { entry_.forks.fetch_add(1, std::memory_order_relaxed); }
    void killed_its_child() { entry_.grandchildren_killed.fetch_add(1, std::memory_order_relaxed); }

    // Ends this process, and with it the campaign.
    [[noreturn]] void wrong(const std::string& what);
    void require(bool good, const char* what) {
        if (!good) wrong(what);
    }

 private:
    Entry& entry_;
    std::uint64_t id_;
    std::string canary_;
    std::mt19937_64 random_;
};

}  // namespace ndshare::soak
