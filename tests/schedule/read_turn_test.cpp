// A reader under writers that never pause, and what it costs them when it stops or dies.
#include <memory>

#include "schedule/array_model.h"
#include "schedule/explore.h"

namespace ndshare::schedule {
namespace {

struct Shape {
    std::size_t writers = 1;
    int pauses_inside = 0;                 // how long a write takes
    std::uint64_t writes_max = 0;          // that may be finished while the reader asks
    std::uint64_t sleeps_max = 1'000'000;  // of the reader, before it asks
};

// Of the reader's first question to the end of its last.
struct Asked {
    bool yet = false, done = false;
    std::uint64_t finished_at_first = 0, finished_at_end = 0;

    void look(World& world, const Truth& truth) {
        const bool asks = world.last(world.control().words().turn) != 0;
        if (asks && !yet) finished_at_first = truth.finished_count;
        if (asks) finished_at_end = truth.finished_count;
        yet = yet || asks;
    }
};

// Writers that go on until the reader has what it wants.
template <class Ground>
Setup one_reader_under_writers_that_never_pause(Shape shape) {
    return [=](World& world) {
        auto truth = std::make_shared<Truth>(world);
        auto asked = std::make_shared<Asked>();
        for (std::size_t row = 0; row < shape.writers; ++row) {
            world.spawn({.name = "writer", .row = row},
                        [&world, truth, asked, shape](Process& who) {
                            Peer<Ground> peer(world, *truth, who);
                            while (!asked->done) peer.write(false, shape.pauses_inside);
                        });
        }
        world.spawn({.name = "reader", .row = 5}, [&world, truth, asked](Process& who) {
            Peer<Ground> peer(world, *truth, who);
            std::uint64_t version = 0;
            const auto outcome = peer.read(peer.patient(), 7, version);
            asked->done = true;
            world.require(outcome == sync::ReadOutcome::consistent, "the read gave up");
        });
        const Process& reader = world.processes().back();
        world.after_each_step([&world, &reader, truth, asked, shape] {
            truth->look();
            asked->look(world, *truth);
            const std::uint64_t writes = asked->finished_at_end - asked->finished_at_first;
            if (writes > shape.writes_max) {
                world.violate("the reader asked and " + std::to_string(writes) +
                              " writes went before it");
            }
            if (!asked->yet && reader.sleep_count > shape.sleeps_max) {
                world.violate("the reader slept " + std::to_string(reader.sleep_count) +
                              " times and did not ask");
            }
        });
    };
}

// Nobody's slice ends: every wait here is ended by whom it waits for.
constexpr Plan kPatient{.slices = Slices::by_clock, .steps_max = 200'000, .ns_a_step = 20};

TEST(ReadTurn, a_reader_that_asks_is_let_pass_by_one_writer) {
    // A write whose writer had looked at the turn before the question stood there.
    const Shape shape{.writers = 1, .writes_max = 1};
    EXPECT_TRUE(holds(
        explore(kPatient, 4000, one_reader_under_writers_that_never_pause<SimGround>(shape))));
}

TEST(ReadTurn, a_reader_that_asks_is_let_pass_by_several_writers) {
    const Shape shape{.writers = 3, .writes_max = 3};
    EXPECT_TRUE(holds(
        explore(kPatient, 4000, one_reader_under_writers_that_never_pause<SimGround>(shape))));
}

TEST(ReadTurn, a_question_outlasts_a_write_that_is_longer_than_a_slice) {
    const Shape shape{.writers = 2, .pauses_inside = 400, .writes_max = 12};
    const Plan plan{.slices = Slices::by_clock, .steps_max = 200'000, .ns_a_step = 60'000};
    EXPECT_TRUE(
        holds(explore(plan, 1000, one_reader_under_writers_that_never_pause<SimGround>(shape))));
}

TEST(ReadTurn, a_reader_that_finds_a_write_running_whenever_it_looks_asks_too) {
    // Three attempts, each of which sleeps through one write.
    const Shape shape{.pauses_inside = 30, .writes_max = 1'000'000, .sleeps_max = 3};
    EXPECT_TRUE(holds(
        explore(kPatient, 2000, one_reader_under_writers_that_never_pause<SimGround>(shape))));
}

TEST(ReadTurn, readers_and_writers_all_end) {
    const auto setup = [](World& world) {
        auto truth = watch(world);
        for (std::size_t row = 0; row < 2; ++row) {
            world.spawn({.name = "writer", .row = row}, [&world, truth](Process& who) {
                Peer<SimGround> peer(world, *truth, who);
                for (int k = 0; k < 4; ++k) peer.write();
            });
        }
        for (std::size_t row = 2; row < 5; ++row) {
            world.spawn({.name = "reader", .row = row}, [&world, truth](Process& who) {
                Peer<SimGround> peer(world, *truth, who);
                std::uint64_t version = 0;
                for (int k = 0; k < 2; ++k) {
                    const auto nonce = static_cast<std::uint32_t>(who.number + 1);
                    (void)peer.read(peer.patient(), nonce, version);
                }
            });
        }
    };
    EXPECT_TRUE(holds(explore({.slices = Slices::when_idle}, 4000, setup)));
    EXPECT_TRUE(holds(explore({.slices = Slices::any_time}, 4000, setup)));
}

// Every reader asks at once: no optimistic attempts, so the turn is where they are killed.
template <class Ground>
Setup readers_that_ask_and_die() {
    return [](World& world) {
        auto truth = watch(world);
        world.spawn({.name = "writer", .row = 0, .may_be_killed = false},
                    [&world, truth](Process& who) {
                        Peer<Ground> peer(world, *truth, who);
                        for (int k = 0; k < 6; ++k) peer.write();
                    });
        for (std::size_t row = 1; row < 3; ++row) {
            world.spawn({.name = "reader", .row = row, .lives = 3}, [&world, truth](Process& who) {
                Ground ground(world, who.row);
                sync::ReadTurn turn(world.control().words().turn, ground);
                sync::SpinBudget spin(0);
                sync::Patience patience(platform::kForeverNs, spin);
                for (int k = 0; k < 2; ++k) {
                    const auto nonce = static_cast<std::uint32_t>(who.number + 1);
                    while (!turn.ask(nonce)) turn.let_pass(patience, [] { return true; });
                    for (int step = 0; step < 4; ++step) turn.progress();
                    turn.done();
                }
            });
        }
        world.at_end([&world] {
            const bool left = world.last(world.control().words().turn) != 0;
            world.require(!left || world.kill_count() > 0, "a living reader left its question");
        });
    };
}

TEST(ReadTurn, a_killed_reader_never_stops_the_writers) {
    const Plan plan{.slices = Slices::when_idle, .kills = 3};
    EXPECT_TRUE(holds(explore(plan, 6000, readers_that_ask_and_die<SimGround>())));
}

// A dead reader's question and a dead writer's lock at once: each alone is noticed by those who
// wait for the other.
TEST(ReadTurn, a_killed_reader_and_a_killed_writer_never_stop_the_others) {
    const auto setup = [](World& world) {
        auto truth = watch(world);
        world.spawn({.name = "survivor", .row = 0, .may_be_killed = false},
                    [&world, truth](Process& who) {
                        Peer<SimGround> peer(world, *truth, who);
                        for (int k = 0; k < 3; ++k) peer.write();
                    });
        world.spawn({.name = "writer", .row = 1, .lives = 2}, [&world, truth](Process& who) {
            Peer<SimGround> peer(world, *truth, who);
            for (int k = 0; k < 3; ++k) peer.write();
        });
        for (std::size_t row = 2; row < 4; ++row) {
            world.spawn({.name = "reader", .row = row}, [&world](Process& who) {
                SimGround ground(world, who.row);
                sync::ReadTurn turn(world.control().words().turn, ground);
                sync::SpinBudget spin(0);
                sync::Patience patience(platform::kForeverNs, spin);
                while (!turn.ask(static_cast<std::uint32_t>(who.number + 1))) {
                    turn.let_pass(patience, [] { return true; });
                }
                for (int step = 0; step < 20; ++step) turn.progress();
                turn.done();
            });
        }
    };
    const Plan plan{.slices = Slices::when_idle, .kills = 3};
    EXPECT_TRUE(holds(explore(plan, 20000, setup)));
}

TEST(ReadTurn, nobody_is_left_asleep_when_nobody_is_killed) {
    Plan plan{.slices = Slices::never};
    EXPECT_TRUE(holds(explore(plan, 6000, readers_that_ask_and_die<SimGround>())));
    plan.weak_memory = true;
    EXPECT_TRUE(holds(explore(plan, 6000, readers_that_ask_and_die<SimGround>())));
}

// The reader stops inside its copy until the writers have gone on without it, and then goes on.
template <class Ground>
Setup a_reader_that_stops(int writes) {
    return [=](World& world) {
        auto truth = watch(world);
        auto writers_left = std::make_shared<int>(2);
        for (std::size_t row = 0; row < 2; ++row) {
            world.spawn({.name = "writer", .row = row},
                        [&world, truth, writers_left, writes](Process& who) {
                            Peer<Ground> peer(world, *truth, who);
                            for (int k = 0; k < writes; ++k) peer.write();
                            --*writers_left;
                        });
        }
        world.spawn({.name = "stopped", .row = 2}, [&world, truth, writers_left](Process& who) {
            Peer<Ground> peer(world, *truth, who);
            peer.stop_in_copies([&world, writers_left] {
                const bool asked = world.last(world.control().words().turn) != 0;
                while (asked && *writers_left > 0) world.pause();
            });
            std::uint64_t version = 0;
            const auto outcome = peer.read(peer.patient(), 7, version);
            world.require(outcome == sync::ReadOutcome::consistent, "the read gave up");
        });
    };
}

TEST(ReadTurn, a_stopped_reader_never_stops_the_writers) {
    const Plan plan{.slices = Slices::by_clock, .steps_max = 50'000, .ns_a_step = 300'000};
    EXPECT_TRUE(holds(explore(plan, 2000, a_reader_that_stops<SimGround>(12))));
}

struct Interrupt {};

TEST(ReadTurn, an_interrupted_reader_takes_its_question_back) {
    int interrupts = 0;
    const auto setup = [&interrupts](World& world) {
        auto truth = watch(world);
        for (std::size_t row = 0; row < 2; ++row) {
            world.spawn({.name = "writer", .row = row}, [&world, truth](Process& who) {
                Peer<SimGround> peer(world, *truth, who);
                for (int k = 0; k < 4; ++k) peer.write();
            });
        }
        for (std::size_t row = 2; row < 4; ++row) {
            world.spawn({.name = "reader", .row = row}, [&world, &interrupts, truth](Process& who) {
                Peer<SimGround> peer(world, *truth, who);
                sync::SpinBudget spin(0);
                const auto nonce = static_cast<std::uint32_t>(who.number + 1);
                std::uint64_t version = 0;
                try {
                    (void)peer.read({platform::kForeverNs, spin,
                                     [&world] {
                                         if (world.pick(2) == 1) throw Interrupt{};
                                     }},
                                    nonce, version);
                } catch (const Interrupt&) {
                    ++interrupts;
                }
                const auto turn = world.last(world.control().words().turn);
                world.require(turn >> sync::ReadTurn<SimGround>::kNonceShift != nonce,
                              "a reader has gone and its question stands");
            });
        }
    };
    EXPECT_TRUE(holds(explore({.slices = Slices::any_time}, 6000, setup)));
    EXPECT_GT(interrupts, 0);
}

// ---- canaries -----------------------------------------------------------------------------------

bool is_turn(World& world, const void* word) { return word == &world.control().words().turn; }

struct LetsNobodyPass : SimGround {
    using SimGround::SimGround;
    template <class Word>
    auto load_relaxed(const Word& word) const {
        const auto value = SimGround::load_relaxed(word);
        return is_turn(world(), &word) && own_row() < 3 ? Number<Word>{0} : value;
    }
};
TEST(ReadTurnCanary, a_writer_that_lets_nobody_pass_is_caught) {
    const Shape shape{.writers = 1, .writes_max = 30};
    EXPECT_TRUE(is_caught(
        hunt(kPatient, 4000, one_reader_under_writers_that_never_pause<LetsNobodyPass>(shape)),
        "writes went before it"));
}

// Waits for a stopped reader for as long as it is stopped.
struct NeverLosesPatience : SimGround {
    using SimGround::SimGround;
    template <class Word>
    bool compare_exchange(Word& word, Number<Word>& expected,
                          std::type_identity_t<Number<Word>> desired) {
        if (is_turn(world(), &word) && desired == 0 && own_row() < 2) return false;
        return SimGround::compare_exchange(word, expected, desired);
    }
    template <class Word>
    auto load_relaxed(const Word& word) const {
        const auto value = SimGround::load_relaxed(word);
        // As if the reader had moved on a little since the writer marked the word.
        const bool mine = is_turn(world(), &word) && own_row() < 2 && value != 0;
        return mine ? static_cast<Number<Word>>(value ^ 1) : value;
    }
};
TEST(ReadTurnCanary, a_writer_that_waits_for_a_stopped_reader_is_caught) {
    const Plan plan{.slices = Slices::by_clock, .steps_max = 50'000, .ns_a_step = 300'000};
    EXPECT_TRUE(
        is_caught(hunt(plan, 2000, a_reader_that_stops<NeverLosesPatience>(12)), "does not end"));
}

// done() that wakes nobody.
struct GoesSilently : SimGround {
    using SimGround::SimGround;
    void wake_all(auto& word) const {
        if (!is_turn(world(), &word)) SimGround::wake_all(word);
    }
};
TEST(ReadTurnCanary, a_reader_that_goes_without_a_wake_is_caught) {
    const Plan plan{.slices = Slices::never};
    EXPECT_TRUE(
        is_caught(hunt(plan, 3000, readers_that_ask_and_die<GoesSilently>()), "everybody sleeps"));
}

}  // namespace
}  // namespace ndshare::schedule
