// Small instances, every interleaving: not a sample but all of them, up to the stated preemptions.
//
// A run that meets a state it met before ends there: the words, and all that each process was told,
// are the same, so what follows is too.
#include <cstdio>
#include <memory>

#include "schedule/array_model.h"
#include "schedule/explore.h"

namespace ndshare::schedule {
namespace {

constexpr int kUnlimited = 100;

testing::AssertionResult holds_always(const Plan& plan, int preemptions_max, const Setup& setup) {
    const Found found = explore_exhaustively(plan, preemptions_max, setup);
    if (!found.any) std::printf("             %s\n", found.text.c_str());
    return holds(found);
}

template <class Ground>
Setup lockers(std::size_t count, int lives) {
    return [=](World& world) {
        auto inside = std::make_shared<const Process*>(nullptr);
        for (std::size_t row = 0; row < count; ++row) {
            world.spawn({.name = "locker", .row = row, .lives = lives},
                        [&world, inside](Process& who) {
                            Ground ground(world, who.row);
                            sync::SpinBudget spin(0);
                            sync::Patience patience(platform::kForeverNs, spin);
                            sync::WriteLock lock(world.control().words().lock, ground);
                            world.require(lock.acquire(who.owner, patience), "timed out");
                            if (*inside != nullptr && (*inside)->unfinished()) {
                                world.violate("two processes are inside");
                            }
                            *inside = &who;
                            world.pause();
                            *inside = nullptr;
                            lock.release(who.owner);
                        });
        }
    };
}

template <class Ground>
Setup writers_and_readers(std::size_t writers, std::size_t readers) {
    return [=](World& world) {
        auto truth = watch(world);
        std::size_t row = 0;
        for (; row < writers; ++row) {
            world.spawn({.name = "writer", .row = row}, [&world, truth](Process& who) {
                Peer<Ground>(world, *truth, who).write();
            });
        }
        for (; row < writers + readers; ++row) {
            world.spawn({.name = "reader", .row = row}, [&world, truth](Process& who) {
                Peer<Ground> peer(world, *truth, who);
                std::uint64_t version = 0;
                (void)peer.read(peer.patient(), static_cast<std::uint32_t>(who.number + 1),
                                version);
            });
        }
    };
}

// Waiters until they have seen as many versions as there will be writes.
template <class Ground>
Setup one_writer_and_waiters(std::size_t waiters, std::uint64_t writes) {
    return [=](World& world) {
        auto truth = watch(world);
        world.spawn({.name = "writer"}, [&world, truth, writes](Process& who) {
            Peer<Ground> peer(world, *truth, who);
            for (std::uint64_t k = 0; k < writes; ++k) peer.write();
        });
        for (std::size_t row = 1; row <= waiters; ++row) {
            world.spawn({.name = "waiter", .row = row}, [&world, truth, writes](Process& who) {
                Peer<Ground> peer(world, *truth, who);
                auto patience = peer.patient();
                for (std::uint64_t version = 0; version < writes;) {
                    world.require(peer.version().wait_newer(version, patience, version) ==
                                      sync::WaitOutcome::newer,
                                  "no news");
                }
            });
        }
    };
}

TEST(Exhaustive, two_lockers) {
    const Plan plan{.slices = Slices::never};
    EXPECT_TRUE(holds_always(plan, kUnlimited, lockers<SimGround>(2, 1)));
}

TEST(Exhaustive, two_lockers_one_kill_and_a_successor) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(holds_always(plan, kUnlimited, lockers<SimGround>(2, 2)));
}

TEST(Exhaustive, three_lockers) {
    const Plan plan{.slices = Slices::never};
    EXPECT_TRUE(holds_always(plan, 3, lockers<SimGround>(3, 1)));
}

TEST(Exhaustive, three_lockers_two_kills_and_successors) {
    const Plan plan{.slices = Slices::when_idle, .kills = 2};
    EXPECT_TRUE(holds_always(plan, 1, lockers<SimGround>(3, 2)));
}

TEST(Exhaustive, one_writer_one_reader_one_kill) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(holds_always(plan, kUnlimited, writers_and_readers<SimGround>(1, 1)));
}

TEST(Exhaustive, two_writers_one_reader_one_kill) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(holds_always(plan, 2, writers_and_readers<SimGround>(2, 1)));
}

TEST(Exhaustive, one_writer_one_reader_under_weak_memory) {
    const Plan plan{.slices = Slices::when_idle, .weak_memory = true};
    EXPECT_TRUE(holds_always(plan, 2, writers_and_readers<SimGround>(1, 1)));
}

TEST(Exhaustive, one_write_wakes_two_waiters) {
    const Plan plan{.slices = Slices::never};
    EXPECT_TRUE(holds_always(plan, 3, one_writer_and_waiters<SimGround>(2, 1)));
}

TEST(Exhaustive, two_writes_wake_two_waiters) {
    const Plan plan{.slices = Slices::never};
    EXPECT_TRUE(holds_always(plan, 3, one_writer_and_waiters<SimGround>(2, 2)));
}

// ---- canary -------------------------------------------------------------------------------------

bool is_version(World& world, const void* word) { return word == &world.control().words().version; }

// begin() without its odd word.
struct ForgetsOdd : SimGround {
    using SimGround::SimGround;
    template <class Word>
    void store_relaxed(Word& word, std::type_identity_t<Number<Word>> value) {
        if (!is_version(world(), &word)) SimGround::store_relaxed(word, value);
    }
    template <class Word>
    void store_release(Word& word, std::type_identity_t<Number<Word>> value) {
        if (!is_version(world(), &word)) SimGround::store_release(word, value);
    }
};
TEST(ExhaustiveCanary, a_write_without_the_odd_word_is_caught) {
    EXPECT_TRUE(is_caught(explore_exhaustively({}, 2, writers_and_readers<ForgetsOdd>(1, 1)),
                          "was read as version"));
}

}  // namespace
}  // namespace ndshare::schedule
