// sync/local_lock.h: exclusion between the threads of one process, which share a row and would not
// see each other in the word between processes. Taken first, released last.
// A thread that holds it and asks again has made a mistake that would never end: Invalid, at once.
// Threads: any; another than the holder may release (executors, generators). Processes: private; a
// forked child calls reset() while it has one thread. Blocks: acquire.
#pragma once
#include <atomic>
#include <cstdint>

#include "base/check.h"
#include "platform/futex.h"
#include "sync/patience.h"

namespace ndshare::sync {

class LocalLock {
 public:
    bool held_by_this_thread() const noexcept {
        // Relaxed: only this thread ever stores its own number.
        return (holder_.load(std::memory_order_relaxed) & ~kSlept) == this_thread();
    }
    // false: timed out. mistake: the text when this thread holds it already.
    bool acquire(Patience& patience, const char* mistake) {
        if (held_by_this_thread()) throw Invalid(mistake);
        if (patience.spin_until([&] { return try_acquire(0); })) return true;
        for (;;) {
            std::uint32_t seen = holder_.load(std::memory_order_acquire);
            if (seen == 0) {
                // Others may sleep still: whoever slept takes the word as slept on, and wakes.
                if (try_acquire(kSlept)) return true;
                continue;
            }
            if (patience.over()) return false;
            if (!holder_.compare_exchange_strong(seen, seen | kSlept)) continue;
            platform::futex_wait(word(), seen | kSlept, patience.next_slice_ns());
            patience.ask_whether_to_go_on();
        }
    }
    void release() noexcept {
        // SYNC(local-lock): the next holder sees what we did.
        const std::uint32_t seen = holder_.exchange(0, std::memory_order_acq_rel);
        if ((seen & kSlept) != 0) platform::futex_wake_all(word());
    }
    void reset() noexcept { holder_.store(0, std::memory_order_relaxed); }

 private:
    // In the word itself, as in WriteLock: a flag beside it could be taken by a late releaser from
    // a thread that is about to sleep on the next holder.
    static constexpr std::uint32_t kSlept = std::uint32_t{1} << 31;

    bool try_acquire(std::uint32_t slept) noexcept {
        std::uint32_t expected = 0;
        // SYNC(local-lock)
        return holder_.compare_exchange_strong(expected, this_thread() | slept,
                                               std::memory_order_acquire);
    }
    std::uint32_t* word() noexcept { return reinterpret_cast<std::uint32_t*>(&holder_); }
    static std::uint32_t this_thread() noexcept {
        static std::atomic<std::uint32_t> count{0};
        // Relaxed: only the numbers have to differ.
        thread_local const std::uint32_t number = count.fetch_add(1, std::memory_order_relaxed) + 1;
        return number;
    }
    std::atomic<std::uint32_t> holder_{0};
};

}  // namespace ndshare::sync
