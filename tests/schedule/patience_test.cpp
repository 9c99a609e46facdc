// When a wait looks, and when it asks, to the nanosecond: the clock is the world's.
#include "sync/patience.h"

#include "schedule/explore.h"
#include "schedule/sim_ground.h"

namespace ndshare::schedule {
namespace {

constexpr std::int64_t kStepNs = 10'000;

// One process, whose every pause takes kStepNs.
Found alone(const std::function<void(World&)>& body) {
    const Plan plan{.slices = Slices::never, .ns_a_step = kStepNs};
    return explore(plan, 1, [&body](World& world) {
        world.spawn({.name = "waiter"}, [&world, &body](Process&) { body(world); });
    });
}

void pass(World& world, std::int64_t ns) {
    for (; ns > 0; ns -= kStepNs) world.pause();
}

TEST(Patience, looks_thirty_two_times_before_it_looks_at_the_clock_and_ends_with_the_budget) {
    if (platform::online_cpu_count() < 2) GTEST_SKIP() << "nobody spins on one CPU";
    EXPECT_TRUE(holds(alone([](World& world) {
        sync::SpinBudget spin(64 * kStepNs);
        sync::Patience patience(platform::kForeverNs, spin);
        int looks = 0;
        const bool answered = patience.spin_until([&] {
            if (looks > 0) world.pause();  // the first is made before it spins
            ++looks;
            return false;
        });
        world.require(!answered, "an answer that nobody gave");
        world.require(looks == 1 + 2 * 32, "not as many looks as the budget has time for");
    })));
}

TEST(Patience, asks_whether_to_go_on_when_a_period_is_over_and_not_before) {
    EXPECT_TRUE(holds(alone([](World& world) {
        sync::SpinBudget spin(0);
        int asked = 0;
        sync::Patience patience(platform::kForeverNs, spin, [&] { ++asked; });
        (void)patience.next_slice_ns();
        pass(world, sync::kAskPeriodNs - kStepNs);
        patience.ask_whether_to_go_on();
        world.require(asked == 0, "asked too early");
        world.pause();
        patience.ask_whether_to_go_on();
        world.require(asked == 1, "not asked when the period was over");
    })));
}

TEST(Patience, that_slept_for_less_than_two_long_looks_looks_longer_the_next_time) {
    if (platform::online_cpu_count() < 2) GTEST_SKIP() << "nobody spins on one CPU";
    constexpr std::int64_t kLong = 2 * sync::SpinBudget::kMaxNs;
    for (const auto& [slept_ns, longest] : {std::pair{kLong - kStepNs, true}, {kLong, false}}) {
        EXPECT_TRUE(holds(alone([&, slept_ns = slept_ns, longest = longest](World& world) {
            sync::SpinBudget spin;
            sync::Patience patience(platform::kForeverNs, spin);
            (void)patience.spin_until([&] {
                world.pause();
                return false;
            });
            (void)patience.next_slice_ns();
            pass(world, slept_ns);
            patience.ask_whether_to_go_on();
            world.require((spin.ns() == sync::SpinBudget::kMaxNs) == longest,
                          "a just missed answer is not told from a late one");
        })));
    }
}

}  // namespace
}  // namespace ndshare::schedule
