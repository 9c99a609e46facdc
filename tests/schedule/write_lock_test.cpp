// The write lock alone: one inside, whoever is killed and however late a recovery comes.
#include <memory>

#include "schedule/explore.h"
#include "schedule/sim_ground.h"
#include "sync/patience.h"
#include "sync/write_lock.h"

namespace ndshare::schedule {
namespace {

struct Inside {
    const Process* who = nullptr;
    std::uint64_t times = 0;
};

// Each process goes in a few times and counts there, with a plain load and a plain store.
template <class Ground>
void go_in(World& world, Inside& inside, Process& who, int times) {
    Ground ground(world, who.row);
    sync::SpinBudget spin(0);
    sync::WriteLock lock(world.control().words().lock, ground);
    for (int k = 0; k < times; ++k) {
        sync::Patience patience(platform::kForeverNs, spin);
        world.require(lock.acquire(who.owner, patience), "a lock without a timeout timed out");
        if (inside.who != nullptr && inside.who->unfinished()) {
            world.violate("two processes are inside");
        }
        inside.who = &who;
        const std::uint64_t count = ground.load_relaxed(world.scratch(0));
        ground.store_relaxed(world.scratch(0), count + 1);
        world.require(inside.who == &who, "somebody else came in meanwhile");
        inside.who = nullptr;
        ++inside.times;
        lock.release(who.owner);
    }
}

template <class Ground>
Setup three_processes(int times, int lives) {
    return [=](World& world) {
        auto inside = std::make_shared<Inside>();
        for (std::size_t row = 0; row < 3; ++row) {
            world.spawn({.name = "locker", .row = row, .lives = lives},
                        [&world, inside, times](Process& who) {
                            go_in<Ground>(world, *inside, who, times);
                        });
        }
        world.at_end([&world, inside] {
            // A process killed between its store and its note is counted in memory only.
            const std::uint64_t count = world.last(world.scratch(0));
            const auto killed = static_cast<std::uint64_t>(world.kill_count());
            world.require(count >= inside->times && count <= inside->times + killed,
                          "what one did inside was not seen by the next");
        });
    };
}

TEST(WriteLock, one_is_inside_at_a_time) {
    EXPECT_TRUE(holds(explore({}, 9000, three_processes<SimGround>(3, 1))));
}

TEST(WriteLock, one_is_inside_at_a_time_across_kills_and_successors_in_the_same_row) {
    const Plan plan{.slices = Slices::any_time, .kills = 3};
    EXPECT_TRUE(holds(explore(plan, 24000, three_processes<SimGround>(3, 3))));
}

TEST(WriteLock, what_one_did_inside_is_seen_by_the_next_under_weak_memory) {
    const Plan plan{.slices = Slices::any_time, .kills = 2, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 12000, three_processes<SimGround>(2, 2))));
}

TEST(WriteLock, every_waiter_is_woken_when_nobody_is_killed) {
    EXPECT_TRUE(holds(explore({.slices = Slices::never}, 18000, three_processes<SimGround>(3, 1))));
}

// The first one's name is there before it comes.
TEST(WriteLock, a_word_that_names_its_taker_holds_nobody_up) {
    const auto setup = [](World& world) {
        const auto inside = std::make_shared<Inside>();
        world.spawn({.name = "named", .row = 0}, [&world, inside](Process& who) {
            SimGround ground(world, who.row);
            std::uint64_t free = 0;
            ground.compare_exchange(world.control().words().lock, free, who.owner);
            go_in<SimGround>(world, *inside, who, 2);
        });
        world.spawn({.name = "other", .row = 1},
                    [&world, inside](Process& who) { go_in<SimGround>(world, *inside, who, 2); });
    };
    EXPECT_TRUE(holds(explore({.slices = Slices::when_idle}, 3000, setup)));
}

TEST(WriteLock, a_lock_of_a_dead_process_is_free_after_one_slice) {
    const Plan plan{.slices = Slices::when_idle, .kills = 2};
    EXPECT_TRUE(holds(explore(plan, 12000, three_processes<SimGround>(3, 2))));
}

// Who finds the word free after a recovery knows nothing of the death, and sees all that the dead
// one did.
TEST(WriteLock, a_recovery_hands_on_what_the_dead_one_did_under_weak_memory) {
    const auto setup = [](World& world) {
        const auto inside = std::make_shared<Inside>();
        const auto over = std::make_shared<bool>(false);
        world.spawn({.name = "mortal", .row = 0},
                    [=, &world](Process& who) { go_in<SimGround>(world, *inside, who, 1); });
        world.spawn({.name = "looker", .row = 1, .may_be_killed = false},
                    [=, &world](Process& who) {
                        SimGround ground(world, who.row);
                        sync::WriteLock lock(world.control().words().lock, ground);
                        while (!*over) (void)lock.held_by_the_living();
                    });
        world.spawn({.name = "next", .row = 2, .may_be_killed = false}, [=, &world](Process& who) {
            SimGround ground(world, who.row);
            sync::WriteLock lock(world.control().words().lock, ground);
            // After the other one has let go, or has died in there.
            while (world.last(world.scratch(0)) == 0 && world.kill_count() == 0) world.pause();
            while (!lock.try_acquire(who.owner)) world.pause();
            world.require(ground.load_relaxed(world.scratch(0)) == world.last(world.scratch(0)),
                          "what the dead one did was not handed on");
            lock.release(who.owner);
            *over = true;
        });
    };
    const Plan plan{.slices = Slices::any_time, .kills = 1, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 10000, setup)));
}

TEST(WriteLock, a_try_never_sleeps) {
    const auto setup = [](World& world) {
        for (std::size_t row = 0; row < 3; ++row) {
            world.spawn({.name = "locker", .row = row, .lives = 2}, [&world](Process& who) {
                SimGround ground(world, who.row);
                sync::SpinBudget spin(0);
                sync::WriteLock lock(world.control().words().lock, ground);
                who.may_sleep = false;
                sync::Patience none(0, spin);
                for (int k = 0; k < 3; ++k) {
                    if (lock.acquire(who.owner, none)) lock.release(who.owner);
                }
            });
        }
    };
    EXPECT_TRUE(holds(explore({.kills = 1}, 1500, setup)));
}

TEST(WriteLock, a_word_that_names_no_row_is_corrupt_bytes) {
    const auto setup = [](World& world) {
        world.set_initial(world.control().words().lock, layout::kRowCount + 1);
        world.spawn({.name = "locker"}, [&world](Process& who) {
            SimGround ground(world, who.row);
            sync::SpinBudget spin(0);
            sync::Patience patience(platform::kForeverNs, spin);
            sync::WriteLock lock(world.control().words().lock, ground);
            try {
                lock.acquire(who.owner, patience);
                world.violate("a lock word without an owner was accepted");
            } catch (const CorruptBytes&) {
            }
        });
    };
    EXPECT_TRUE(holds(explore({}, 1, setup)));
}

// ---- canaries -----------------------------------------------------------------------------------

// A recovery that would clear the word of whoever is in the row now.
struct IgnoresEpoch : SimGround {
    using SimGround::SimGround;
    bool compare_exchange(layout::Word64& word, std::uint64_t& expected, std::uint64_t desired) {
        if (desired != 0 || sync::owner_of(expected) == owner_now()) {
            return SimGround::compare_exchange(word, expected, desired);
        }
        const std::uint64_t now = load_acquire(word);
        if ((now & sync::kRowMask) == (expected & sync::kRowMask)) expected = now;
        return SimGround::compare_exchange(word, expected, desired);
    }
    std::uint64_t owner_now() const {
        return sync::owner_word(own_row(), world().last(world().control().row(own_row()).epoch));
    }
};
TEST(WriteLockCanary, a_recovery_that_ignores_the_epoch_is_caught) {
    const Plan plan{.slices = Slices::any_time, .kills = 3};
    EXPECT_TRUE(is_caught(hunt(plan, 8000, three_processes<IgnoresEpoch>(3, 3)), "inside"));
}

// The kernel asked about the row alone: a successor in it passes for the dead holder.
struct AsksOnlyTheKernel : SimGround {
    using SimGround::SimGround;
    bool owner_is_alive(std::uint64_t owner) const {
        return world().row_is_locked(sync::row_of(owner));
    }
};
// A successor that is there and never comes for the lock itself.
template <class Ground>
Setup killed_and_replaced() {
    return [](World& world) {
        const auto inside = std::make_shared<Inside>();
        const auto over = std::make_shared<bool>(false);
        world.spawn({.name = "killed", .row = 0, .lives = 2}, [=, &world](Process& who) {
            if (who.life == 0) return go_in<Ground>(world, *inside, who, 1);
            while (!*over) world.pause();
        });
        world.spawn({.name = "other", .row = 1, .may_be_killed = false}, [=, &world](Process& who) {
            go_in<Ground>(world, *inside, who, 2);
            *over = true;
        });
    };
}
TEST(WriteLock, a_dead_process_whose_row_is_another_s_holds_nobody_up) {
    EXPECT_TRUE(holds(
        explore({.slices = Slices::any_time, .kills = 1}, 4000, killed_and_replaced<SimGround>())));
}
TEST(WriteLockCanary, a_successor_taken_for_the_dead_holder_is_caught) {
    EXPECT_TRUE(is_caught(hunt({.slices = Slices::any_time, .kills = 1}, 4000,
                               killed_and_replaced<AsksOnlyTheKernel>()),
                          "does not end"));
}

// Death concluded from nothing: whoever holds it is taken for dead.
struct DeclaresDead : SimGround {
    using SimGround::SimGround;
    bool owner_is_alive(std::uint64_t) const { return !world().pick(2); }
};
TEST(WriteLockCanary, a_living_holder_declared_dead_is_caught) {
    EXPECT_TRUE(is_caught(hunt({}, 200, three_processes<DeclaresDead>(3, 1)), "inside"));
}

// A release that does not look whether somebody marked the word meanwhile.
struct OverlooksSleepers : SimGround {
    using SimGround::SimGround;
    bool compare_exchange(layout::Word64& word, std::uint64_t& expected, std::uint64_t desired) {
        const std::uint64_t before = expected;
        const bool done = SimGround::compare_exchange(word, expected, desired);
        if (done || desired != 0 || sync::owner_of(expected) != before) return done;
        SimGround::compare_exchange(word, expected, desired);
        expected = before;
        return true;
    }
};
TEST(WriteLockCanary, a_release_that_overlooks_sleepers_is_caught) {
    EXPECT_TRUE(
        is_caught(hunt({.slices = Slices::never}, 2000, three_processes<OverlooksSleepers>(3, 1)),
                  "everybody sleeps"));
}

// Everything relaxed: the next one inside does not see what the last one did.
struct HandsNothingOver : SimGround {
    using SimGround::SimGround;
    bool compare_exchange(layout::Word64& word, std::uint64_t& expected, std::uint64_t desired) {
        return world().compare_exchange(&word, sizeof word, expected, desired, Order::relaxed);
    }
};
TEST(WriteLockCanary, a_lock_without_orders_is_caught_under_weak_memory) {
    EXPECT_TRUE(
        is_caught(hunt({.weak_memory = true}, 1000, three_processes<HandsNothingOver>(2, 1)),
                  "was not seen by the next"));
}

}  // namespace
}  // namespace ndshare::schedule
