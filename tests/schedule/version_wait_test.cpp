// Waiting for news: no wake-up is lost while everybody lives, and a slice makes up for the dead.
#include <memory>

#include "schedule/array_model.h"
#include "schedule/explore.h"

namespace ndshare::schedule {
namespace {

// Waits until it has seen the version target.
template <class Ground>
void wait_for(World& world, Truth& truth, Process& who, std::uint64_t target) {
    Peer<Ground> peer(world, truth, who);
    std::uint64_t since = 0;
    while (since < target) {
        auto patience = peer.patient();
        std::uint64_t version = 0;
        const auto outcome = peer.version().wait_newer(since, patience, version);
        world.require(outcome != sync::WaitOutcome::timed_out,
                      "a wait without a timeout timed out");
        if (outcome == sync::WaitOutcome::incomplete) return;
        world.require(version > since, "what is no news was called news");
        since = version;
    }
}

template <class Ground>
Setup one_writer(int writes, std::size_t waiters, bool give_up_last = false) {
    return [=](World& world) {
        auto truth = watch(world);
        world.spawn({.name = "writer", .row = 0},
                    [&world, truth, writes, give_up_last](Process& who) {
                        Peer<Ground> peer(world, *truth, who);
                        for (int k = 0; k < writes; ++k)
                            peer.write(give_up_last && k + 1 == writes);
                    });
        const auto target = static_cast<std::uint64_t>(writes);
        for (std::size_t k = 0; k < waiters; ++k) {
            world.spawn({.name = "waiter", .row = k + 1}, [&world, truth, target](Process& who) {
                wait_for<Ground>(world, *truth, who, target);
            });
        }
    };
}

TEST(VersionWait, a_single_write_wakes_every_waiter) {
    EXPECT_TRUE(holds(explore({.slices = Slices::never}, 30000, one_writer<SimGround>(1, 3))));
}

TEST(VersionWait, a_single_write_wakes_every_waiter_under_weak_memory) {
    const Plan plan{.slices = Slices::never, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 30000, one_writer<SimGround>(1, 2))));
}

TEST(VersionWait, no_wake_up_is_lost_over_many_writes) {
    EXPECT_TRUE(holds(explore({.slices = Slices::never}, 20000, one_writer<SimGround>(4, 2))));
    // Slow sleepers among quick ones: a flag for an old version must not take a newer one's place.
    EXPECT_TRUE(holds(explore({.slices = Slices::never}, 20000, one_writer<SimGround>(10, 4))));
}

TEST(VersionWait, no_wake_up_is_lost_among_several_writers) {
    const auto setup = [](World& world) {
        auto truth = watch(world);
        for (std::size_t row = 0; row < 2; ++row) {
            world.spawn({.name = "writer", .row = row}, [&world, truth](Process& who) {
                Peer<SimGround> peer(world, *truth, who);
                for (int k = 0; k < 2; ++k) peer.write();
            });
        }
        world.spawn({.name = "waiter", .row = 2},
                    [&world, truth](Process& who) { wait_for<SimGround>(world, *truth, who, 4); });
    };
    EXPECT_TRUE(holds(explore({.slices = Slices::never}, 30000, setup)));
}

TEST(VersionWait, no_wake_up_is_lost_over_many_writes_under_weak_memory) {
    const Plan plan{.slices = Slices::never, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 20000, one_writer<SimGround>(4, 2))));
}

TEST(VersionWait, slices_end_every_wait) {
    EXPECT_TRUE(holds(explore({.slices = Slices::when_idle}, 15000, one_writer<SimGround>(4, 2))));
    EXPECT_TRUE(
        holds(explore({.slices = Slices::when_idle}, 15000, one_writer<SimGround>(2, 2, true))));
}

// Whoever is killed, the waiters learn of a complete write or of a left one.
TEST(VersionWait, slices_end_every_wait_when_peers_are_killed) {
    const auto setup = [](World& world) {
        auto truth = watch(world);
        world.spawn({.name = "writer", .row = 0, .lives = 2}, [&world, truth](Process& who) {
            Peer<SimGround> peer(world, *truth, who);
            for (int k = 0; k < 2; ++k) peer.write();
        });
        world.spawn({.name = "last", .row = 1, .may_be_killed = false},
                    [&world, truth](Process& who) { Peer<SimGround>(world, *truth, who).write(); });
        for (std::size_t row = 2; row < 4; ++row) {
            world.spawn({.name = "waiter", .row = row, .lives = 2}, [&world, truth](Process& who) {
                wait_for<SimGround>(world, *truth, who, 1);
            });
        }
    };
    EXPECT_TRUE(holds(explore({.slices = Slices::when_idle, .kills = 3}, 30000, setup)));
}

TEST(VersionWait, a_killed_writer_is_noticed_by_those_who_sleep) {
    const auto setup = [](World& world) {
        auto truth = watch(world);
        world.spawn({.name = "writer", .row = 0},
                    [&world, truth](Process& who) { Peer<SimGround>(world, *truth, who).write(); });
        for (std::size_t row = 1; row < 3; ++row) {
            world.spawn({.name = "waiter", .row = row, .may_be_killed = false}, [&world, truth](
                                                                                    Process& who) {
                Peer<SimGround> peer(world, *truth, who);
                // Killed before odd nothing will ever come, so only an odd word counts.
                auto patience = peer.patient();
                std::uint64_t version = 0;
                if (peer.version().load() == 0) return;
                const auto outcome = peer.version().wait_newer(0, patience, version);
                world.require(outcome == sync::WaitOutcome::newer || world.kill_count() > 0,
                              "incomplete is said of a living writer");
            });
        }
    };
    EXPECT_TRUE(holds(explore({.slices = Slices::when_idle, .kills = 1}, 30000, setup)));
}

// ---- canaries -----------------------------------------------------------------------------------

// A waker that never sees a flag.
struct SeesNoFlag : SimGround {
    using SimGround::SimGround;
    template <class Word>
    auto load_seq_cst(const Word& word) const {
        const auto value = SimGround::load_seq_cst(word);
        const bool flag = static_cast<const void*>(&word) == &world().control().words().need_wake;
        return flag && own_row() == 0 ? Number<Word>{0} : value;
    }
};
TEST(VersionWaitCanary, a_flag_that_is_not_seen_is_caught) {
    EXPECT_TRUE(is_caught(hunt({.slices = Slices::never}, 1000, one_writer<SeesNoFlag>(1, 3)),
                          "everybody sleeps"));
}

// The writer looks at the flag before its version is out.
struct LooksBeforePublishing : SimGround {
    using SimGround::SimGround;
    template <class Word>
    auto exchange_seq_cst(Word& word, std::type_identity_t<Number<Word>> value) {
        auto& words = world().control().words();
        if (static_cast<void*>(&word) == &words.version) {
            early_ = SimGround::load_seq_cst(words.need_wake);
        }
        return SimGround::exchange_seq_cst(word, value);
    }
    template <class Word>
    auto load_seq_cst(const Word& word) {
        if (static_cast<const void*>(&word) == &world().control().words().need_wake) {
            return static_cast<Number<Word>>(early_);
        }
        return SimGround::load_seq_cst(word);
    }
    std::uint32_t early_ = 0;
};
TEST(VersionWaitCanary, a_look_before_publishing_is_caught) {
    EXPECT_TRUE(
        is_caught(hunt({.slices = Slices::never}, 5000, one_writer<LooksBeforePublishing>(1, 3)),
                  "everybody sleeps"));
}

// The writer clears the flag after its version is out, when it may be a later sleeper's already.
struct ClearsTheFlagLate : SimGround {
    using SimGround::SimGround;
    template <class Word>
    auto load_seq_cst(const Word& word) {
        const auto value = SimGround::load_seq_cst(word);
        auto& words = world().control().words();
        const bool is_out = !sync::is_odd(world().last(words.version));
        if (static_cast<const void*>(&word) == &words.need_wake && value != 0 && is_out) {
            (void)SimGround::exchange_seq_cst(words.need_wake, 0);
        }
        return value;
    }
};
TEST(VersionWaitCanary, a_flag_that_is_cleared_late_is_caught) {
    EXPECT_TRUE(
        is_caught(hunt({.slices = Slices::never}, 5000, one_writer<ClearsTheFlagLate>(4, 2)),
                  "everybody sleeps"));
}

// Both sides of the handshake without the total order: each may miss the other's store.
struct NoTotalOrder : SimGround {
    using SimGround::SimGround;
    template <class Word>
    void store_seq_cst(Word& word, std::type_identity_t<Number<Word>> value) {
        SimGround::store_release(word, value);
    }
    template <class Word>
    auto load_seq_cst(const Word& word) const {
        return SimGround::load_acquire(word);
    }
};
TEST(VersionWaitCanary, a_handshake_without_seq_cst_is_caught_under_weak_memory) {
    const Plan plan{.slices = Slices::never, .weak_memory = true};
    EXPECT_TRUE(is_caught(hunt(plan, 5000, one_writer<NoTotalOrder>(1, 2)), "everybody sleeps"));
}

// A waker that takes the flag and wakes nobody, as if it had died there, but without slices.
struct WakesNobody : SimGround {
    using SimGround::SimGround;
    void wake_all(auto&) const { world().pause(); }
};
TEST(VersionWaitCanary, a_missing_wake_is_caught) {
    EXPECT_TRUE(is_caught(hunt({.slices = Slices::never}, 1000, one_writer<WakesNobody>(1, 1)),
                          "everybody sleeps"));
}

}  // namespace
}  // namespace ndshare::schedule
