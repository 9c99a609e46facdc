// Writers and readers of one array: no torn copy, no doubt without a cause, no cause overlooked.
#include <memory>

#include "schedule/array_model.h"
#include "schedule/explore.h"

namespace ndshare::schedule {
namespace {

struct Shape {
    std::size_t writers = 2, readers = 2;
    int writes = 3, reads = 3;
    int lives = 1;
    bool give_up = false;     // some writes are given up in the middle
    bool trust_doubt = true;  // readers' "incomplete" is checked, too
};

template <class Ground>
void write_often(World& world, Truth& truth, Process& who, const Shape& shape) {
    Peer<Ground> peer(world, truth, who);
    for (int k = 0; k < shape.writes; ++k) peer.write(shape.give_up && world.pick(4) == 3);
}

template <class Ground>
void read_often(World& world, Truth& truth, Process& who, const Shape& shape) {
    Peer<Ground> peer(world, truth, who);
    std::uint64_t newest = 0;
    for (int k = 0; k < shape.reads; ++k) {
        std::uint64_t version = 0;
        const auto nonce = static_cast<std::uint32_t>(who.number + 1);
        const auto outcome = peer.read(peer.patient(), nonce, version);
        world.require(outcome != sync::ReadOutcome::timed_out,
                      "a read without a timeout timed out");
        if (outcome != sync::ReadOutcome::consistent) continue;
        world.require(version >= newest, "a reader went back in time");
        newest = version;
    }
}

template <class Ground>
Setup writers_and_readers(Shape shape) {
    return [=](World& world) {
        auto truth = watch(world);
        truth->trust_doubt = shape.trust_doubt;
        std::size_t row = 0;
        for (std::size_t k = 0; k < shape.writers; ++k) {
            world.spawn({.name = "writer", .row = row++, .lives = shape.lives},
                        [&world, truth, shape](Process& who) {
                            write_often<Ground>(world, *truth, who, shape);
                        });
        }
        for (std::size_t k = 0; k < shape.readers; ++k) {
            world.spawn({.name = "reader", .row = row++, .lives = shape.lives},
                        [&world, truth, shape](Process& who) {
                            read_often<Ground>(world, *truth, who, shape);
                        });
        }
        world.at_end([&world, truth, shape] {
            const auto& words = world.control().words();
            const std::uint64_t completed = sync::completed(world.last(words.version));
            const auto killed = static_cast<std::uint64_t>(world.kill_count());
            world.require(
                completed <= truth->finished_count && completed + killed >= truth->finished_count,
                "the version does not count the completed writes");
            const bool may_be_odd = killed > 0 || shape.give_up;
            world.require(may_be_odd || !truth->is_incomplete(), "left in doubt without a cause");
        });
    };
}

TEST(VersionRead, no_torn_copy_is_accepted) {
    EXPECT_TRUE(holds(explore({}, 9000, writers_and_readers<SimGround>({}))));
}

TEST(VersionRead, no_torn_copy_is_accepted_when_sleeps_end_at_any_moment) {
    EXPECT_TRUE(
        holds(explore({.slices = Slices::any_time}, 9000, writers_and_readers<SimGround>({}))));
}

TEST(VersionRead, no_torn_copy_is_accepted_across_kills) {
    const Plan plan{.slices = Slices::any_time, .kills = 3};
    EXPECT_TRUE(holds(explore(plan, 18000, writers_and_readers<SimGround>({.lives = 2}))));
}

TEST(VersionRead, no_torn_copy_is_accepted_when_writes_are_given_up) {
    const Plan plan{.slices = Slices::any_time, .kills = 1};
    EXPECT_TRUE(
        holds(explore(plan, 12000, writers_and_readers<SimGround>({.lives = 2, .give_up = true}))));
}

TEST(VersionRead, no_torn_copy_is_accepted_across_kills_under_weak_memory) {
    const Plan plan{.slices = Slices::any_time, .kills = 2, .weak_memory = true};
    const Shape shape{.lives = 2, .trust_doubt = false};
    EXPECT_TRUE(holds(explore(plan, 18000, writers_and_readers<SimGround>(shape))));
}

TEST(VersionRead, a_living_writer_never_makes_readers_say_incomplete) {
    const Shape shape{.writers = 2, .readers = 2, .writes = 4, .reads = 4};
    const Plan plan{.slices = Slices::any_time};
    EXPECT_TRUE(holds(explore(plan, 9000, writers_and_readers<SimGround>(shape))));
}

TEST(VersionRead, a_living_writer_never_makes_readers_say_incomplete_under_weak_memory) {
    const Shape shape{.writers = 2, .readers = 2, .writes = 4, .reads = 4};
    const Plan plan{.slices = Slices::any_time, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 9000, writers_and_readers<SimGround>(shape))));
}

// ---- what a killed writer leaves ----------------------------------------------------------------

// Somebody who only asks, whenever it likes.
template <class Ground>
void ask_often(World& world, Truth& truth, Process& who, int times) {
    Peer<Ground> peer(world, truth, who);
    for (int k = 0; k < times; ++k) {
        const bool was = truth.is_incomplete();
        const std::uint64_t begin = world.now();
        const bool says = peer.version().is_incomplete();
        const bool was_true = was || truth.last_incomplete > begin;
        const bool was_false = !was || truth.last_complete > begin;
        world.require(!says || was_true, "incomplete is said, and at no moment was it so");
        world.require(says || was_false, "complete is said, and at no moment was it so");
    }
}

// One writer that may be killed, one that comes later and heals, two who ask on a ground of theirs.
template <class Ground, class AskersGround = Ground>
void one_writer_dies(World& world) {
    auto truth = watch(world);
    world.spawn({.name = "writer", .row = 0},
                [&world, truth](Process& who) { Peer<Ground>(world, *truth, who).write(); });
    world.spawn(
        {.name = "healer", .row = 1, .may_be_killed = false}, [&world, truth](Process& who) {
            for (std::size_t k = world.pick(40); k > 0; --k) world.pause();
            const std::uint64_t begin = world.now();
            Peer<Ground>(world, *truth, who).write();
            world.require(truth->last_complete > begin, "a complete write did not heal the array");
        });
    for (std::size_t row = 2; row < 4; ++row) {
        world.spawn(
            {.name = "asker", .row = row, .may_be_killed = false},
            [&world, truth](Process& who) { ask_often<AskersGround>(world, *truth, who, 5); });
    }
    world.at_end([&world, truth] {
        const std::uint64_t word = world.last(world.control().words().version);
        if (!truth->is_incomplete()) return;
        world.require(sync::is_odd(word) && world.kill_count() > 0,
                      "left in doubt without a cause");
    });
}

TEST(VersionRead, what_a_killed_writer_leaves_is_incomplete_for_everybody_until_healed) {
    const Plan plan{.slices = Slices::any_time, .kills = 1};
    EXPECT_TRUE(holds(explore(plan, 15000, one_writer_dies<SimGround>)));
}

TEST(VersionRead, killed_before_odd_or_after_even_leaves_nothing_in_doubt) {
    const auto setup = [](World& world) {
        auto truth = watch(world);
        world.spawn({.name = "writer"},
                    [&world, truth](Process& who) { Peer<SimGround>(world, *truth, who).write(); });
        world.at_end([&world, truth] {
            const std::uint64_t word = world.last(world.control().words().version);
            // The kill fell between the odd and the even word, or it left no doubt.
            world.require(sync::is_odd(word) == truth->is_incomplete(),
                          "a doubt without an odd word");
            world.require(word == 0 || word == 2 || truth->is_incomplete(), "an unknown version");
        });
    };
    EXPECT_TRUE(holds(explore({.kills = 1}, 6000, setup)));
}

TEST(VersionRead, a_try_never_sleeps) {
    const auto setup = [](World& world) {
        auto truth = watch(world);
        world.spawn({.name = "writer", .row = 0, .lives = 2}, [&world, truth](Process& who) {
            Peer<SimGround> peer(world, *truth, who);
            for (int k = 0; k < 3; ++k) peer.write();
        });
        world.spawn({.name = "reader", .row = 1, .lives = 2}, [&world, truth](Process& who) {
            Peer<SimGround> peer(world, *truth, who);
            std::uint64_t version = 0;
            who.may_sleep = false;
            for (int k = 0; k < 4; ++k) {
                const auto nonce = static_cast<std::uint32_t>(who.number + 1);
                (void)peer.read(peer.hasty(), nonce, version);
                auto none = peer.hasty();
                if (peer.version().lock(who.owner, none)) peer.version().unlock(who.owner);
                (void)peer.version().wait_newer(version, none, version);
            }
        });
    };
    EXPECT_TRUE(holds(explore({.kills = 1}, 12000, setup)));
}

// ---- canaries -----------------------------------------------------------------------------------

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
TEST(VersionReadCanary, a_write_without_the_odd_word_is_caught) {
    EXPECT_TRUE(is_caught(hunt({}, 3000, writers_and_readers<ForgetsOdd>({})), "torn copy"));
}

struct ForgetsReleaseFence : SimGround {
    using SimGround::SimGround;
    void fence_release() const {}
};
TEST(VersionReadCanary, a_missing_release_fence_is_caught_under_weak_memory) {
    EXPECT_TRUE(is_caught(hunt({.weak_memory = true}, 6000,
                               writers_and_readers<ForgetsReleaseFence>({.trust_doubt = false})),
                          "torn copy"));
}

struct ForgetsAcquireFence : SimGround {
    using SimGround::SimGround;
    void fence_acquire() const {}
};
TEST(VersionReadCanary, a_missing_acquire_fence_is_caught_under_weak_memory) {
    EXPECT_TRUE(is_caught(hunt({.weak_memory = true}, 6000,
                               writers_and_readers<ForgetsAcquireFence>({.trust_doubt = false})),
                          "torn copy"));
}

// finish() without the order that hands the bytes over.
struct RelaxedEven : SimGround {
    using SimGround::SimGround;
    template <class Word>
    auto exchange_seq_cst(Word& word, std::type_identity_t<Number<Word>> value) {
        const auto before = static_cast<Number<Word>>(world().last(word));
        SimGround::store_relaxed(word, value);
        return before;
    }
};
TEST(VersionReadCanary, a_relaxed_even_word_is_caught_under_weak_memory) {
    EXPECT_TRUE(is_caught(
        hunt({.weak_memory = true}, 6000, writers_and_readers<RelaxedEven>({.trust_doubt = false})),
        "torn copy"));
}

// The even word stands before the last bytes.
struct EvenTooEarly : SimGround {
    using SimGround::SimGround;
    template <class Word>
    void store_relaxed(Word& word, std::type_identity_t<Number<Word>> value) {
        const bool last = static_cast<const void*>(&word) == &world().payload(kWords - 1);
        if (last) {
            late_ = value;
        } else {
            SimGround::store_relaxed(word, value);
        }
    }
    template <class Word>
    auto exchange_seq_cst(Word& word, std::type_identity_t<Number<Word>> value) {
        const auto before = SimGround::exchange_seq_cst(word, value);
        if (is_version(world(), &word))
            SimGround::store_relaxed(world().payload(kWords - 1), late_);
        return before;
    }
    std::uint64_t late_ = 0;
};
TEST(VersionReadCanary, a_version_that_comes_before_its_bytes_is_caught) {
    EXPECT_TRUE(is_caught(hunt({}, 3000, writers_and_readers<EvenTooEarly>({})), "torn copy"));
}

// Whoever holds the lock passes for dead with those who ask.
struct DeclaresDead : SimGround {
    using SimGround::SimGround;
    bool owner_is_alive(std::uint64_t) const { return false; }
    bool compare_exchange(auto&, auto&, auto) const { return true; }
};
TEST(VersionReadCanary, a_running_write_called_incomplete_is_caught) {
    EXPECT_TRUE(is_caught(hunt({}, 3000, one_writer_dies<SimGround, DeclaresDead>),
                          "incomplete is said, and at no moment was it so"));
}

// Nobody ever passes for dead.
struct DeclaresAlive : SimGround {
    using SimGround::SimGround;
    bool owner_is_alive(std::uint64_t) const { return true; }
};
TEST(VersionReadCanary, a_dead_writer_taken_for_a_living_one_is_caught) {
    EXPECT_TRUE(
        is_caught(hunt({.kills = 1}, 5000, one_writer_dies<DeclaresAlive>), "complete is said"));
}

}  // namespace
}  // namespace ndshare::schedule
