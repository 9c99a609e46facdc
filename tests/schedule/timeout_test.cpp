// Waits that have a time end when it is over, whatever stands still meanwhile.
#include <memory>

#include "schedule/array_model.h"
#include "schedule/explore.h"

namespace ndshare::schedule {
namespace {

constexpr std::int64_t kTimeoutNs = 5'000'000;
// What the others may take of the one CPU before the waiter goes on.
constexpr std::int64_t kSlackNs = 4'000'000;

constexpr Plan kPlan{.slices = Slices::by_clock, .steps_max = 100'000, .ns_a_step = 2'000};

// A writer that is inside for so long that every waiter's time is over first.
template <class Ground>
void write_for_long(World& world, Truth& truth, Process& who) {
    Peer<Ground>(world, truth, who).write(false, 15000);
}

template <class Wait>
Setup waits_under_a_long_write(Wait wait) {
    return [=](World& world) {
        auto truth = watch(world);
        world.spawn({.name = "writer", .row = 0}, [&world, truth](Process& who) {
            write_for_long<SimGround>(world, *truth, who);
        });
        world.spawn({.name = "waiter", .row = 1}, [&world, truth, wait](Process& who) {
            Peer<SimGround> peer(world, *truth, who);
            while (!sync::is_odd(world.last(peer.words().version))) world.pause();
            const std::int64_t begin = world.now_ns();
            sync::SpinBudget spin(0);
            sync::Patience patience(kTimeoutNs, spin);
            const bool timed_out = wait(peer, who, patience);
            const std::int64_t took = world.now_ns() - begin;
            world.require(timed_out, "there was nothing to wait for");
            world.require(took >= kTimeoutNs, "a wait ended before its time");
            if (took > kTimeoutNs + kSlackNs) {
                world.violate("a wait of 5 ms took " + std::to_string(took / 1'000'000) + " ms");
            }
        });
    };
}

TEST(Timeout, ends_a_read_under_a_long_write) {
    const auto wait = [](Peer<SimGround>& peer, Process&, sync::Patience& patience) {
        std::uint64_t version = 0;
        return peer.read(patience, 7, version) == sync::ReadOutcome::timed_out;
    };
    EXPECT_TRUE(holds(explore(kPlan, 150, waits_under_a_long_write(wait))));
}

TEST(Timeout, ends_a_wait_for_news_under_a_long_write) {
    const auto wait = [](Peer<SimGround>& peer, Process&, sync::Patience& patience) {
        std::uint64_t version = 0;
        return peer.version().wait_newer(0, patience, version) == sync::WaitOutcome::timed_out;
    };
    EXPECT_TRUE(holds(explore(kPlan, 150, waits_under_a_long_write(wait))));
}

TEST(Timeout, ends_a_lock_under_a_long_write) {
    const auto wait = [](Peer<SimGround>& peer, Process& who, sync::Patience& patience) {
        return !peer.version().lock(who.owner, patience);
    };
    EXPECT_TRUE(holds(explore(kPlan, 150, waits_under_a_long_write(wait))));
}

TEST(Timeout, ends_a_lock_while_a_reader_stands_still) {
    const auto wait = [](Peer<SimGround>& peer, Process& who, sync::Patience& patience) {
        sync::ReadTurn<SimGround> turn(peer.words().turn, peer.ground());
        turn.ask(9);  // as a reader that was killed here would leave it
        return !peer.version().lock(who.owner, patience);
    };
    EXPECT_TRUE(holds(explore(kPlan, 150, waits_under_a_long_write(wait))));
}

// ---- what is noticed without a wake -------------------------------------------------------------

// One writer that gives up or is killed; waiters for ever, who must learn of it within a slice.
Setup somebody_leaves(bool give_up) {
    return [=](World& world) {
        auto truth = watch(world);
        auto left_ns = std::make_shared<std::int64_t>(0);
        world.spawn({.name = "writer", .row = 0}, [&world, truth, left_ns, give_up](Process& who) {
            Peer<SimGround>(world, *truth, who).write(give_up, 2000);
            *left_ns = world.now_ns();
        });
        for (std::size_t row = 1; row < 3; ++row) {
            world.spawn({.name = "waiter", .row = row, .may_be_killed = false},
                        [=, &world](Process& who) {
                            Peer<SimGround> peer(world, *truth, who);
                            auto patience = peer.patient();
                            std::uint64_t version = 0;
                            // Killed before its odd word it leaves nothing to learn.
                            while (world.last(peer.words().version) == 0) {
                                if (world.kill_count() > 0) return;
                                world.pause();
                            }
                            const auto outcome = peer.version().wait_newer(0, patience, version);
                            if (outcome == sync::WaitOutcome::newer) return;
                            const std::int64_t gone_ns = give_up ? *left_ns : world.last_kill_ns();
                            const std::int64_t late_ns = world.now_ns() - gone_ns;
                            if (gone_ns != 0 && late_ns > sync::kSliceMaxNs + 5 * kSlackNs) {
                                world.violate("was noticed after " +
                                              std::to_string(late_ns / 1'000'000) + " ms");
                            }
                        });
        }
    };
}

TEST(Timeout, a_write_that_is_given_up_is_noticed_within_a_slice) {
    EXPECT_TRUE(holds(explore(kPlan, 1500, somebody_leaves(true))));
}

TEST(Timeout, a_killed_writer_is_noticed_within_a_slice) {
    Plan plan = kPlan;
    plan.kills = 1;
    EXPECT_TRUE(holds(explore(plan, 1500, somebody_leaves(false))));
}

// ---- canary -------------------------------------------------------------------------------------

// Sleeps that are longer than asked for.
struct Oversleeps : SimGround {
    using SimGround::SimGround;
    void sleep(const auto& word, std::uint32_t expected, std::int64_t ns) const {
        SimGround::sleep(word, expected, ns + 20'000'000);
    }
};
TEST(TimeoutCanary, a_wait_that_oversleeps_is_caught) {
    const auto setup = [](World& world) {
        auto truth = watch(world);
        world.spawn({.name = "waiter"}, [&world, truth](Process& who) {
            Peer<Oversleeps> peer(world, *truth, who);
            sync::SpinBudget spin(0);
            sync::Patience patience(kTimeoutNs, spin);
            std::uint64_t version = 0;
            (void)peer.version().wait_newer(0, patience, version);
            world.require(world.now_ns() < kTimeoutNs + kSlackNs, "a wait took too long");
        });
    };
    EXPECT_TRUE(is_caught(hunt(kPlan, 10, setup), "took too long"));
}

}  // namespace
}  // namespace ndshare::schedule
