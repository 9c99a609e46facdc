// How long a wait looks and sleeps, whom it asks, and the lock between threads that waits so.
#include "sync/patience.h"

#include <gtest/gtest.h>

#include <atomic>
#include <ctime>
#include <thread>

#include "sync/local_lock.h"

namespace ndshare::sync {
namespace {

constexpr std::int64_t kMs = 1'000'000;

void pass(std::int64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); }

class Spinning : public testing::Test {
 protected:
    void SetUp() override {
        if (platform::online_cpu_count() < 2) GTEST_SKIP() << "nobody spins on one CPU";
    }
};

TEST_F(Spinning, is_longer_after_an_answer_and_shorter_after_none) {
    SpinBudget spin;
    EXPECT_EQ(spin.ns(), 20'000);
    spin.answered();
    EXPECT_EQ(spin.ns(), 40'000);
    spin.answered();
    EXPECT_EQ(spin.ns(), SpinBudget::kMaxNs);
    for (const std::int64_t ns : {25'000, 12'500, 6'250, 3'125, 2'000, 2'000}) {
        spin.in_vain();
        EXPECT_EQ(spin.ns(), ns);
    }
    spin.just_missed();
    EXPECT_EQ(spin.ns(), SpinBudget::kMaxNs);
}

TEST_F(Spinning, is_no_longer_after_a_sleep_that_no_look_went_before) {
    SpinBudget spin;
    spin.in_vain();
    Patience patience(1000 * kMs, spin);
    (void)patience.next_slice_ns();
    patience.ask_whether_to_go_on();
    EXPECT_EQ(spin.ns(), 10'000);
}

// Waits of one whose peer answers only once it sleeps: it needs the CPU that the look takes.
std::int64_t spun_for_a_peer_that_waits_for_us(SpinBudget& spin, int waits) {
    std::int64_t spun = 0;
    for (int k = 0; k < waits; ++k) {
        spun += spin.ns();
        spin.in_vain();
        spin.just_missed();
    }
    return spun;
}

TEST_F(Spinning, ends_where_the_peer_answers_only_those_who_sleep) {
    SpinBudget spin;
    (void)spun_for_a_peer_that_waits_for_us(spin, 1000);
    EXPECT_LT(spun_for_a_peer_that_waits_for_us(spin, 1000), 1000 * 2 * SpinBudget::kMinNs);
}

TEST_F(Spinning, is_tried_again_after_a_while_and_stays_once_it_is_answered) {
    SpinBudget spin;
    (void)spun_for_a_peer_that_waits_for_us(spin, 1000);
    int waits = 0;
    for (; spin.ns() < SpinBudget::kMaxNs; ++waits) {
        ASSERT_LE(waits, 2 * SpinBudget::kPauseMax) << "it is never tried again";
        spin.in_vain();
        spin.just_missed();
    }
    for (int k = 0; k < 20; ++k) spin.answered();
    EXPECT_EQ(spin.ns(), SpinBudget::kMaxNs);
    // One slow answer is forgotten at once.
    spin.in_vain();
    spin.just_missed();
    EXPECT_EQ(spin.ns(), SpinBudget::kMaxNs);
}

TEST_F(Spinning, that_is_fixed_stays_so) {
    for (const std::int64_t ns : {0, 7'000}) {
        SpinBudget spin(ns);
        spin.answered();
        spin.just_missed();
        EXPECT_EQ(spin.ns(), ns);
    }
}

TEST_F(Spinning, ends_with_the_answer) {
    SpinBudget spin;
    Patience patience(1000 * kMs, spin);
    int looks = 0;
    EXPECT_TRUE(patience.spin_until([&] { return ++looks == 5; }));
    EXPECT_EQ(looks, 5);
    EXPECT_EQ(spin.ns(), 40'000);
}

TEST_F(Spinning, ends_with_the_budget) {
    SpinBudget spin;
    Patience patience(1000 * kMs, spin);
    int looks = 0;
    const std::int64_t begin = platform::monotonic_ns();
    EXPECT_FALSE(patience.spin_until([&] { return ++looks == 0; }));
    EXPECT_GE(platform::monotonic_ns() - begin, 20'000);
    EXPECT_GT(looks, 32);
    EXPECT_EQ(spin.ns(), 10'000);
    // The answer came soon after: the next look is a long one.
    (void)patience.next_slice_ns();
    patience.ask_whether_to_go_on();
    if (platform::monotonic_ns() - begin < 50'000) {
        EXPECT_EQ(spin.ns(), SpinBudget::kMaxNs);
    }
    // Without a look in vain before it, or after a long sleep, that is no reason.
    spin.in_vain();
    patience.ask_whether_to_go_on();
    EXPECT_LT(spin.ns(), SpinBudget::kMaxNs);
    (void)patience.spin_until([] { return false; });
    (void)patience.next_slice_ns();
    pass(kMs);
    const std::int64_t before = spin.ns();
    patience.ask_whether_to_go_on();
    EXPECT_EQ(spin.ns(), before);
}

TEST(Patience, without_a_budget_looks_once) {
    SpinBudget spin(0);
    Patience patience(1000 * kMs, spin);
    int looks = 0;
    EXPECT_FALSE(patience.spin_until([&] { return ++looks == 2; }));
    EXPECT_EQ(looks, 1);
    EXPECT_TRUE(patience.spin_until([&] { return ++looks == 2; }));
}

TEST(Patience, sleeps_in_slices_that_grow) {
    SpinBudget spin(0);
    Patience patience(platform::kForeverNs, spin);
    for (const std::int64_t ms : {20, 40, 80, 80}) EXPECT_EQ(patience.next_slice_ns(), ms * kMs);
    EXPECT_EQ(patience.turn_slice_ns(), 20 * kMs);
    Patience brief(5 * kMs, spin);
    EXPECT_LE(brief.next_slice_ns(), 5 * kMs);
    EXPECT_LE(brief.turn_slice_ns(), 5 * kMs);
    EXPECT_FALSE(Patience(60'000 * kMs, spin).over());
    pass(6 * kMs);
    EXPECT_TRUE(brief.over());
}

TEST(Patience, asks_whether_to_go_on_every_fifteen_milliseconds_of_sleep) {
    SpinBudget spin(0);
    int asked = 0;
    Patience patience(platform::kForeverNs, spin, [&] { ++asked; });
    const std::int64_t begin = platform::monotonic_ns();
    (void)patience.next_slice_ns();
    patience.ask_whether_to_go_on();
    if (platform::monotonic_ns() - begin < kAskPeriodNs) {
        EXPECT_EQ(asked, 0);
    }
    pass(16 * kMs);
    (void)patience.next_slice_ns();
    patience.ask_whether_to_go_on();
    EXPECT_EQ(asked, 1);
    pass(16 * kMs);
    patience.ask_whether_to_go_on();
    EXPECT_EQ(asked, 2);
    Patience silent(platform::kForeverNs, spin);
    (void)silent.next_slice_ns();
    pass(16 * kMs);
    EXPECT_NO_THROW(silent.ask_whether_to_go_on());
}

// ---- hooks --------------------------------------------------------------------------------------

int g_before = 0, g_after = 0;

class Blocking : public testing::Test {
 protected:
    void SetUp() override {
        g_before = g_after = 0;
        g_block_hooks = {[]() noexcept -> void* {
                             ++g_before;
                             return &g_before;
                         },
                         [](void* token) noexcept { g_after += token == &g_before; }};
    }
    void TearDown() override { g_block_hooks = {}; }
};

TEST_F(Blocking, is_told_once_for_each_wait) {
    SpinBudget spin(0);
    {
        Patience patience(platform::kForeverNs, spin);
        EXPECT_TRUE(patience.spin_until([] { return true; }));
        EXPECT_EQ(g_before, 0);
        (void)patience.next_slice_ns();
        (void)patience.turn_slice_ns();
        EXPECT_EQ(g_before, 1);
        EXPECT_EQ(g_after, 0);
    }
    EXPECT_EQ(g_after, 1);
    {
        Patience untouched(platform::kForeverNs, spin);
    }
    EXPECT_EQ(g_after, 1);
}

TEST_F(Blocking, is_told_before_the_slice_of_a_readers_turn) {
    SpinBudget spin(0);
    Patience patience(platform::kForeverNs, spin);
    (void)patience.turn_slice_ns();
    EXPECT_EQ(g_before, 1);
}

TEST_F(Blocking, is_told_before_a_look_that_spins) {
    if (platform::online_cpu_count() < 2) GTEST_SKIP() << "nobody spins on one CPU";
    SpinBudget spin;
    Patience patience(platform::kForeverNs, spin);
    int told = -1;
    int looks = 0;
    (void)patience.spin_until([&] {
        told = g_before;
        return ++looks == 2;
    });
    EXPECT_EQ(told, 1);
}

// ---- the lock between threads -------------------------------------------------------------------

TEST(LocalLock, is_held_by_one_thread_and_known_to_it) {
    LocalLock lock;
    SpinBudget spin(0);
    Patience patience(platform::kForeverNs, spin);
    EXPECT_FALSE(lock.held_by_this_thread());
    EXPECT_TRUE(lock.acquire(patience, "twice"));
    EXPECT_TRUE(lock.held_by_this_thread());
    EXPECT_THROW((void)lock.acquire(patience, "twice"), Invalid);
    std::thread([&] {
        EXPECT_FALSE(lock.held_by_this_thread());
        Patience brief(5 * kMs, spin);
        EXPECT_FALSE(lock.acquire(brief, "twice"));
        EXPECT_TRUE(brief.over());
    }).join();
    EXPECT_TRUE(lock.held_by_this_thread());  // also with a sleeper's mark in the word
    lock.release();
    EXPECT_FALSE(lock.held_by_this_thread());
    EXPECT_TRUE(lock.acquire(patience, "twice"));
    lock.reset();
    EXPECT_FALSE(lock.held_by_this_thread());
    std::thread([&] {
        Patience brief(5 * kMs, spin);
        EXPECT_TRUE(lock.acquire(brief, "twice"));
    }).join();
}

struct Interrupt {};

TEST(LocalLock, is_not_waited_for_when_the_caller_wants_no_more) {
    LocalLock lock;
    SpinBudget spin(0);
    Patience patience(platform::kForeverNs, spin);
    ASSERT_TRUE(lock.acquire(patience, "twice"));
    std::thread([&] {
        // Were nobody asked, it would end all the same, and without a throw.
        Patience interrupted(2000 * kMs, spin, [] { throw Interrupt{}; });
        EXPECT_THROW((void)lock.acquire(interrupted, "twice"), Interrupt);
    }).join();
    lock.release();
}

std::int64_t cpu_ns_of_this_thread() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

TEST(LocalLock, that_is_waited_for_costs_no_time_of_the_cpu) {
    LocalLock lock;
    SpinBudget spin(0);
    Patience patience(platform::kForeverNs, spin);
    ASSERT_TRUE(lock.acquire(patience, "twice"));
    std::thread([&] {
        Patience brief(60 * kMs, spin);
        const std::int64_t begin = cpu_ns_of_this_thread();
        EXPECT_FALSE(lock.acquire(brief, "twice"));
        EXPECT_LT(cpu_ns_of_this_thread() - begin, 20 * kMs);
    }).join();
    lock.release();
}

// Whoever sleeps through a slice is asked whether to go on; whoever is woken is not.
TEST_F(Blocking, ends_with_a_wake_when_a_local_lock_is_let_go) {
    static std::atomic<bool> sleeps;
    g_block_hooks = {[]() noexcept -> void* {
                         sleeps = true;
                         return &g_before;
                     },
                     [](void*) noexcept {}};
    constexpr int kRounds = 10;
    int slept_through = 0;
    for (int round = 0; round < kRounds; ++round) {
        LocalLock lock;
        SpinBudget spin(0);
        sleeps = false;
        Patience patience(platform::kForeverNs, spin);
        ASSERT_TRUE(lock.acquire(patience, "twice"));
        std::thread sleeper([&] {
            bool asked = false;
            Patience its(platform::kForeverNs, spin, [&] { asked = true; });
            EXPECT_TRUE(lock.acquire(its, "twice"));
            slept_through += asked ? 1 : 0;
            lock.release();
        });
        while (!sleeps) std::this_thread::yield();
        pass(kMs);
        lock.release();
        sleeper.join();
    }
    EXPECT_LT(slept_through, kRounds / 2);
}

TEST(LocalLock, lets_one_in_at_a_time_whether_they_spin_or_sleep) {
    for (const std::int64_t spin_ns : {std::int64_t{0}, std::int64_t{20'000}}) {
        LocalLock lock;
        SpinBudget spin(spin_ns);
        long inside = 0, count = 0, together = 0;
        const auto work = [&] {
            for (int k = 0; k < 2000; ++k) {
                Patience patience(platform::kForeverNs, spin);
                if (!lock.acquire(patience, "twice")) return;
                together += inside++ != 0;
                if (k % 100 == 0) std::this_thread::yield();
                ++count;
                --inside;
                lock.release();
            }
        };
        std::thread one(work), two(work), three(work);
        one.join();
        two.join();
        three.join();
        EXPECT_EQ(count, 6000);
        EXPECT_EQ(together, 0);
    }
}

}  // namespace
}  // namespace ndshare::sync
