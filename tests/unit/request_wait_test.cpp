// How long a worker waits for company for a call, and what it does with its time.
#include "sync/request_wait.h"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <thread>

#include "support/control_memory.h"
#include "support/plain_ground.h"

namespace ndshare::sync {
namespace {

using support::PlainGround;

constexpr std::int64_t kMs = 1'000'000;
constexpr std::size_t kSlots = 4;

class WorkersWait : public testing::Test {
 protected:
    support::ControlMemory memory{layout::control_bytes_of_service(kSlots)};
    layout::ServiceControl control{memory.base(), kSlots};
    PlainGround ground;
    RequestPool<PlainGround> pool{control, ground};
    const std::uint64_t client = owner_word(1, 0), me = owner_word(2, 0);
    std::vector<WaitingCall> calls;
    SpinBudget spin{0};

    void SetUp() override {
        ground.meanwhile = [this] {
            std::this_thread::sleep_for(std::chrono::nanoseconds(ground.slept_ns.back()));
        };
    }
    static std::uint64_t now() { return static_cast<std::uint64_t>(platform::monotonic_ns()); }
    void submit(std::int64_t deadline_after_ns = 0, std::uint64_t at = now()) {
        const Held held = pool.claim(client).value();
        (void)pool.submit(
            client, held,
            {.order = 1,
             .deadline_ns =
                 deadline_after_ns == 0 ? 0 : at + static_cast<std::uint64_t>(deadline_after_ns),
             .submitted_ns = at});
    }
    std::int64_t all_slept_ns() const {
        return std::accumulate(ground.slept_ns.begin(), ground.slept_ns.end(), std::int64_t{0});
    }
    bool wait(BatchWish wish, std::int64_t timeout_ns) {
        Patience patience(timeout_ns, spin);
        return WorkWait<PlainGround>(control, ground, me, wish).wait(patience, calls);
    }
};

TEST_F(WorkersWait, takes_at_once_what_is_there_when_it_wants_no_company) {
    submit();
    submit();
    EXPECT_TRUE(wait({.size_max = 4}, platform::kForeverNs));
    EXPECT_EQ(calls.size(), 2U);
    EXPECT_TRUE(ground.slept_ns.empty());
}

// A client may write what it likes.
TEST_F(WorkersWait, takes_at_once_also_what_says_that_it_will_be_submitted_later) {
    submit(0, now() + 5000 * kMs);
    EXPECT_TRUE(wait({.size_max = 4}, platform::kForeverNs));
    EXPECT_TRUE(ground.slept_ns.empty());
}

TEST_F(WorkersWait, takes_a_full_batch_at_once) {
    submit();
    submit();
    EXPECT_TRUE(wait({.size_max = 2, .delay_max_ns = 5000 * kMs}, platform::kForeverNs));
    EXPECT_TRUE(ground.slept_ns.empty());
}

TEST_F(WorkersWait, waits_for_company_as_long_as_it_may) {
    submit();
    const std::uint64_t begin = now();
    EXPECT_TRUE(wait({.size_max = 2, .delay_max_ns = 100 * kMs}, platform::kForeverNs));
    EXPECT_EQ(calls.size(), 1U);
    EXPECT_GE(now() - begin, 99U * kMs);
    EXPECT_LE(all_slept_ns(), 100 * kMs);
}

TEST_F(WorkersWait, takes_the_company_that_comes) {
    submit();
    ground.meanwhile = [this] { submit(); };
    EXPECT_TRUE(wait({.size_max = 2, .delay_max_ns = 5000 * kMs}, platform::kForeverNs));
    EXPECT_EQ(calls.size(), 2U);
    EXPECT_EQ(ground.slept_ns.size(), 1U);
}

TEST_F(WorkersWait, leaves_a_call_half_of_its_time) {
    submit(200 * kMs);
    const std::uint64_t begin = now();
    EXPECT_TRUE(wait({.size_max = 2, .delay_max_ns = 5000 * kMs}, platform::kForeverNs));
    EXPECT_EQ(calls.size(), 1U);
    EXPECT_GE(now() - begin, 99U * kMs);
    EXPECT_LE(all_slept_ns(), 100 * kMs);
}

TEST_F(WorkersWait, does_not_keep_a_call_beyond_its_own_patience) {
    submit();
    EXPECT_TRUE(wait({.size_max = 2, .delay_max_ns = 5000 * kMs}, 5 * kMs));
    EXPECT_EQ(calls.size(), 1U);
}

// The third look at a state takes long.
struct LooksSlowly : PlainGround {
    const void* state = nullptr;
    mutable int looks = 0;
    auto load_seq_cst(const auto& word) const {
        if (&word == state && ++looks == 3) {
            std::this_thread::sleep_for(std::chrono::milliseconds(60));
        }
        return PlainGround::load_seq_cst(word);
    }
};
// The time is over while it looks: what it left for company is not left to nobody.
TEST_F(WorkersWait, takes_a_call_that_it_keeps_as_its_own_time_ends) {
    LooksSlowly slow;
    slow.state = &control.state(0);
    submit();
    Patience patience(50 * kMs, spin);
    WorkWait<LooksSlowly> wait(control, slow, me, {.size_max = 2, .delay_max_ns = 5000 * kMs});
    EXPECT_TRUE(wait.wait(patience, calls));
    EXPECT_EQ(calls.size(), 1U);
}

TEST_F(WorkersWait, gets_nothing_when_there_is_nothing_in_time) {
    EXPECT_FALSE(wait({.size_max = 2, .delay_max_ns = 5 * kMs}, 200 * kMs));
    EXPECT_TRUE(calls.empty());
    ASSERT_FALSE(ground.slept_ns.empty());
    EXPECT_GT(ground.slept_ns[0], 5 * kMs);  // nobody is there to be kept
}

TEST_F(WorkersWait, tells_another_one_only_of_what_it_left) {
    for (int k = 0; k < 2; ++k) submit();
    pool.need_worker();
    ground.woken.clear();
    EXPECT_TRUE(wait({.size_max = 2}, platform::kForeverNs));
    EXPECT_FALSE(ground.woke(&control.service().requests));
    for (int k = 0; k < 2; ++k) submit();
    pool.need_worker();
    ground.woken.clear();
    EXPECT_TRUE(wait({.size_max = 1}, platform::kForeverNs));
    EXPECT_TRUE(ground.woke(&control.service().requests));
}

// Every look at the count of submissions is seen.
struct SeesLooks : PlainGround {
    const void* count = nullptr;
    std::function<void()> at_look = [] {};
    auto load_acquire(const auto& word) const {
        if (&word == count) at_look();
        return PlainGround::load_acquire(word);
    }
    auto load_relaxed(const auto& word) const {
        if (&word == count) at_look();
        return PlainGround::load_relaxed(word);
    }
};

class WorkersSpin : public WorkersWait {
 protected:
    SeesLooks seeing;
    SpinBudget long_budget{5000 * kMs};
    void SetUp() override {
        if (platform::online_cpu_count() < 2) GTEST_SKIP() << "one CPU: nobody spins";
        seeing.count = &control.service().requests;
    }
    bool wait(BatchWish wish) {
        Patience patience(platform::kForeverNs, long_budget);
        return WorkWait<SeesLooks>(control, seeing, me, wish).wait(patience, calls);
    }
};

TEST_F(WorkersSpin, sees_a_call_that_comes_meanwhile) {
    int looks = 0;
    seeing.at_look = [&] {
        if (++looks == 5) submit();
    };
    EXPECT_TRUE(wait({}));
    EXPECT_LT(looks, 10);
    EXPECT_TRUE(seeing.slept_ns.empty());
}

TEST_F(WorkersSpin, keeps_a_call_for_company_no_longer_than_it_may) {
    submit();
    const std::uint64_t begin = now();
    EXPECT_TRUE(wait({.size_max = 2, .delay_max_ns = 20 * kMs}));
    EXPECT_GE(now() - begin, 19U * kMs);
    EXPECT_LT(now() - begin, 2500U * kMs);
}

TEST_F(WorkersWait, that_is_stopped_passes_on_a_wake_that_was_meant_for_a_call) {
    ground.meanwhile = [this] {
        std::this_thread::sleep_for(std::chrono::nanoseconds(ground.slept_ns.back()));
        submit();
        EXPECT_TRUE(ground.woke(&control.service().requests));
    };
    Patience patience(platform::kForeverNs, spin, [] { throw TimedOut("stopped"); });
    EXPECT_THROW((void)WorkWait<PlainGround>(control, ground, me, {}).wait(patience, calls),
                 TimedOut);
    EXPECT_TRUE(ground.woke(&control.service().requests));
}

// ---- clients ------------------------------------------------------------------------------------

class ClientsWait : public WorkersWait {
 protected:
    bool may = true;
    int rooms_made = 0;
    std::optional<Held> wait_for_slot(std::int64_t timeout_ns) {
        Patience patience(timeout_ns, spin);
        return wait_for_slot(patience);
    }
    std::optional<Held> wait_for_slot(Patience& patience) {
        return sync::wait_for_slot(
            pool, Ends<PlainGround, layout::ServiceControl>(control, ground), control.words().room,
            ground, client, [&] { return may; }, [&] { ++rooms_made; }, patience);
    }
};

TEST_F(ClientsWait, gets_a_slot_that_is_free_without_more_ado) {
    EXPECT_TRUE(wait_for_slot(platform::kForeverNs));
    EXPECT_EQ(rooms_made, 0);
}

TEST_F(ClientsWait, that_may_have_none_gets_none) {
    may = false;
    EXPECT_FALSE(wait_for_slot(5 * kMs));
    EXPECT_GT(rooms_made, 0);
}

TEST_F(ClientsWait, gets_a_slot_of_the_dead_before_it_sleeps) {
    for (std::size_t k = 0; k < kSlots; ++k) (void)pool.claim(me);
    ground.dead = {me};
    EXPECT_TRUE(wait_for_slot(platform::kForeverNs));
    EXPECT_TRUE(ground.slept_ns.empty());
}

TEST_F(ClientsWait, asks_for_the_dead_once_and_leaves_it_to_its_caller_later) {
    for (std::size_t k = 0; k < kSlots; ++k) (void)pool.claim(me);
    EXPECT_FALSE(wait_for_slot(50 * kMs));
    EXPECT_GT(ground.slept_ns.size(), 1U);
    EXPECT_EQ(ground.asked, static_cast<int>(kSlots));
}

TEST_F(ClientsWait, ends_when_it_is_told_to_stop) {
    const auto stop = [] { throw TimedOut("stopped"); };
    submit();
    const Held held{0, pool.look(0)};
    Patience for_answer(1000 * kMs, spin, stop);
    EXPECT_THROW((void)wait_for_answer(pool, control.state(0), ground, held, for_answer), TimedOut);
    may = false;
    Patience for_slot(1000 * kMs, spin, stop);
    EXPECT_THROW((void)wait_for_slot(for_slot), TimedOut);
}

TEST_F(ClientsWait, sees_an_answer_that_comes_while_it_sleeps) {
    submit();
    pool.find_waiting(0, calls);
    pool.take(me, calls, false);
    const Held held{calls[0].slot, calls[0].word};
    ground.meanwhile = [&] { (void)pool.finish(held, RequestKind::answered); };
    Patience patience(platform::kForeverNs, spin);
    EXPECT_TRUE(is_over(wait_for_answer(pool, control.state(0), ground, held, patience)));
    EXPECT_EQ(ground.slept_ns.size(), 1U);
    EXPECT_TRUE(is_over(wait_for_answer(pool, control.state(0), ground, held, patience)));
    EXPECT_EQ(ground.slept_ns.size(), 1U);
}

TEST_F(ClientsWait, gives_up_on_an_answer_in_time) {
    submit();
    const Held held{0, pool.look(0)};
    Patience patience(5 * kMs, spin);
    EXPECT_FALSE(is_over(wait_for_answer(pool, control.state(0), ground, held, patience)));
}

}  // namespace
}  // namespace ndshare::sync
