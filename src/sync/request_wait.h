// sync/request_wait.h: the two waits of a service: a worker's for calls, a client's for its answer.
// Threads: any. Processes: any. Blocks: yes. Who dies wakes nobody: between slices the caller asks
// the kernel (settle) in what it gave to its Patience.
#pragma once
#include <algorithm>

#include "sync/patience.h"
#include "sync/request_pool.h"

namespace ndshare::sync {

struct BatchWish {
    std::size_t size_max = 1;
    std::int64_t delay_max_ns = 0;  // how long the oldest call may wait for company
};

template <class Ground>
class WorkWait {
 public:
    WorkWait(layout::ServiceControl control, Ground& ground, std::uint64_t me, BatchWish wish)
        : pool_(control, ground),
          word_(control.service().requests),
          ground_(ground),
          me_(me),
          wish_(wish) {}

    // Calls that are the caller's from now on, sorted by slot; false: none in time.
    bool wait(Patience& patience, std::vector<WaitingCall>& calls) {
        std::uint32_t seen = pool_.requests();  // before the look: a submission after it is noticed
        if (look(false, calls)) return true;
        const bool found = patience.spin_until([&] {
            const std::uint32_t now = pool_.requests();
            if (now == seen && hold_ns_ == 0) return false;
            seen = now;
            return look(false, calls);
        });
        if (found) return true;
        for (;;) {
            seen = pool_.requests();
            pool_.need_worker();
            // Asked once: a call that was left for company is taken when the time is over.
            const bool over = patience.over();
            if (look(over, calls)) return true;
            if (over) return false;
            std::int64_t slice = patience.next_slice_ns();
            if (hold_ns_ > 0) slice = std::min(slice, hold_ns_);
            ground_.sleep(word_, seen, slice);
            try {
                patience.ask_whether_to_go_on();
            } catch (...) {
                pool_.tell_another_worker();  // the wake may have been for a call
                throw;
            }
        }
    }

 private:
    static constexpr std::uint64_t kHoldMinNs = 1'000;
    // now: also a batch that could still grow.
    bool look(bool now, std::vector<WaitingCall>& calls) {
        hold_ns_ = 0;
        const auto clock = static_cast<std::uint64_t>(platform::monotonic_ns());
        pool_.find_waiting(clock, calls);
        const std::size_t waiting = calls.size();
        choose_batch(calls, wish_.size_max);
        if (calls.empty()) return false;
        if (!now && wish_.delay_max_ns > 0 && calls.size() < wish_.size_max) {
            // At most half of what a call has until its deadline: the rest is for its computation.
            auto until = std::uint64_t{0} - 1;
            for (const auto& call : calls) {
                until = std::min(
                    until, call.submitted_ns + static_cast<std::uint64_t>(wish_.delay_max_ns));
                if (call.deadline_ns > call.submitted_ns) {
                    until = std::min(
                        until, call.submitted_ns + (call.deadline_ns - call.submitted_ns) / 2);
                }
            }
            if (until > clock && until - clock > kHoldMinNs) {
                hold_ns_ = static_cast<std::int64_t>(until - clock);
                return false;
            }
        }
        pool_.take(me_, calls, waiting > calls.size());
        return !calls.empty();
    }

    RequestPool<Ground> pool_;
    layout::Word32& word_;
    Ground& ground_;
    const std::uint64_t me_;
    const BatchWish wish_;
    std::int64_t hold_ns_ = 0;  // so long there may still come company
};

// The state of the call when it is over, or when the time is.
template <class Ground>
std::uint64_t wait_for_answer(RequestPool<Ground> pool, layout::Word64& state, Ground& ground,
                              const Held& held, Patience& patience) {
    if (patience.spin_until([&] { return is_over(pool.look(held.slot)); })) {
        return pool.look(held.slot);
    }
    for (;;) {
        const auto expected = pool.announce_sleep(held);
        if (!expected || patience.over()) return pool.look(held.slot);
        ground.sleep(state, *expected, patience.next_slice_ns());
        patience.ask_whether_to_go_on();
    }
}

// A client's wait for a slot. may: whether it may have another one at all. make_room: collects
// answers that came to the caller's own calls; without it two clients that wait for slots before
// they collect would wait for each other.
template <class Ground, class May, class MakeRoom>
std::optional<Held> wait_for_slot(RequestPool<Ground> pool,
                                  Ends<Ground, layout::ServiceControl> ends,
                                  layout::Word32& room_word, Ground& ground, std::uint64_t me,
                                  May may, MakeRoom make_room, Patience& patience) {
    std::optional<Held> held;
    const auto look = [&] {
        if (may()) held = pool.claim(me);
        return held.has_value();
    };
    if (patience.spin_until(look)) return held;
    for (bool first = true;; first = false) {
        const std::uint32_t room = ends.room();  // before the look: a change after it is noticed
        ends.need_room();
        make_room();
        if (look()) return held;
        if (first) {  // what the dead hold
            pool.settle_all();
            if (look()) return held;
        }
        if (patience.over()) return held;
        ground.sleep(room_word, room, patience.next_slice_ns());
        patience.ask_whether_to_go_on();
    }
}

}  // namespace ndshare::sync
