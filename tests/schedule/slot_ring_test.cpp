// A stream's ring: every order of claim, publish, take, pin, unpin, join, death and recovery that a
// seed leads to; and for small rings all of them.
#include <cstdio>

#include "schedule/explore.h"
#include "schedule/stream_model.h"

namespace ndshare::schedule {
namespace {

constexpr std::uint64_t kBegin = 1000;
constexpr std::uint64_t kJustBeforeWrap = sync::kSeqMask - 1;

struct Cast {
    std::size_t slots = 3;
    std::size_t publishers = 1;
    std::uint64_t frames = 3;  // each publisher's
    std::size_t readers = 1;
    std::uint32_t kind = layout::kEndInOrder;
    int gets = 3;
    int lives = 1;
    std::uint64_t first_seq = kBegin;
    bool by_copying = false;
};

// Publishers that never wait, readers that look so many times.
template <class Ground>
Setup free_running(const Cast& cast) {
    return [=](World& world) {
        auto truth = std::make_shared<StreamTruth>(world, cast.slots, cast.first_seq);
        std::size_t row = 0;
        for (; row < cast.publishers; ++row) {
            world.spawn({.name = "publisher", .row = row, .lives = cast.lives},
                        [&world, truth, cast](Process& who) {
                            StreamPeer<Ground> peer(world, *truth, who);
                            for (std::uint64_t k = 0; k < cast.frames; ++k) (void)peer.publish();
                        });
        }
        for (; row < cast.publishers + cast.readers; ++row) {
            world.spawn({.name = "reader", .row = row, .lives = cast.lives},
                        [&world, truth, cast](Process& who) {
                            StreamPeer<Ground> peer(world, *truth, who);
                            peer.join(cast.kind);
                            for (int k = 0; k < cast.gets; ++k) {
                                (void)(cast.by_copying ? peer.copy() : peer.get());
                            }
                            peer.leave();
                        });
        }
        world.at_end([&world, truth] {
            const std::uint64_t latest = world.last(world.control().words().latest);
            const auto count = static_cast<std::uint64_t>(
                sync::seq_distance(sync::seq_of(latest), truth->first_seq));
            world.require(count >= truth->published, "a number was given twice");
            world.require(world.kill_count() > 0 || count == truth->published,
                          "numbers have a hole");
        });
    };
}

// A block stream: one reader joins before the first frame, sleeps, and gets every one.
template <class Ground>
Setup lossless(std::size_t slots, std::size_t publishers, std::uint64_t frames) {
    return [=](World& world) {
        auto truth = std::make_shared<StreamTruth>(world, slots, kBegin);
        for (std::size_t row = 0; row < publishers; ++row) {
            world.spawn({.name = "publisher", .row = row}, [&world, truth, frames](Process& who) {
                StreamPeer<Ground> peer(world, *truth, who);
                Gate<Ground>(world, who).pass();
                for (std::uint64_t k = 0; k < frames; ++k) {
                    world.require(peer.publish(true), "no slot, without a timeout");
                }
            });
        }
        world.spawn({.name = "reader", .row = publishers},
                    [&world, truth, publishers, frames](Process& who) {
                        StreamPeer<Ground> peer(world, *truth, who);
                        peer.join(layout::kEndInOrder);
                        Gate<Ground>(world, who).open();
                        for (std::uint64_t k = 0; k < publishers * frames; ++k) peer.wait_and_get();
                    });
    };
}

// A slot that is lent comes back while another publisher waits for one; nobody ends before it came.
template <class Ground>
Setup discarded_while_somebody_waits() {
    return [](World& world) {
        auto truth = std::make_shared<StreamTruth>(world, 1, kBegin);
        const auto play = [&world, truth](Process& who, bool waits) {
            Ground ground(world, who.row);
            const layout::StreamControl control(world.control().base(), 1);
            sync::SlotRing<Ground> ring(control, ground);
            sync::Ends<Ground> ends(control, ground);
            sync::ClaimMemory memory;
            sync::SpinBudget none(0);
            sync::Patience patience(platform::kForeverNs, none);
            const auto claim = waits ? sync::claim_waiting(ring, ends, control.words().room, ground,
                                                           who.owner, memory, patience)
                                     : ring.claim(who.owner, true, false, memory);
            if (claim) ring.give_back(claim.slot);
            ends.tell_room();
            if (waits) ground.store_seq_cst(world.scratch(0), std::uint64_t{1});
            if (waits) ground.wake_all(world.scratch(0));
            while (ground.load_acquire(world.scratch(0)) == 0) {
                ground.sleep(world.scratch(0), 0, platform::kForeverNs);
            }
        };
        world.spawn({.name = "lender", .row = 0}, [play](Process& who) { play(who, false); });
        world.spawn({.name = "waiter", .row = 1}, [play](Process& who) { play(who, true); });
    };
}

// A block stream whose publishers die and come back: what was published is not lost.
template <class Ground>
Setup lossless_under_kills(std::size_t slots, int lives = 3, int frames = 4, int gets = 40) {
    return [=](World& world) {
        auto truth = std::make_shared<StreamTruth>(world, slots, kBegin);
        world.spawn({.name = "publisher", .row = 0, .lives = lives},
                    [&world, truth, frames](Process& who) {
                        StreamPeer<Ground> peer(world, *truth, who);
                        Gate<Ground>(world, who).pass();
                        for (int k = 0; k < frames; ++k) (void)peer.publish(true);
                    });
        world.spawn({.name = "reader", .row = 1, .may_be_killed = false},
                    [&world, truth, gets](Process& who) {
                        StreamPeer<Ground> peer(world, *truth, who);
                        peer.join(layout::kEndInOrder);
                        Gate<Ground>(world, who).open();
                        for (int k = 0; k < gets; ++k) {
                            (void)peer.get();
                            world.pause();
                        }
                        world.require(peer.lost() == 0, "a block stream lost a frame");
                    });
    };
}

// A block stream whose readers die wherever it is: its publisher gets a slot all the same.
template <class Ground>
Setup readers_that_die(std::size_t slots, std::size_t readers, int frames) {
    return [=](World& world) {
        auto truth = std::make_shared<StreamTruth>(world, slots, kBegin);
        world.spawn({.name = "publisher", .may_be_killed = false},
                    [&world, truth, frames](Process& who) {
                        StreamPeer<Ground> peer(world, *truth, who);
                        for (int k = 0; k < frames; ++k) {
                            world.require(peer.publish(true), "no slot, without a timeout");
                        }
                    });
        for (std::size_t row = 1; row <= readers; ++row) {
            world.spawn({.name = "reader", .row = row}, [&world, truth](Process& who) {
                StreamPeer<Ground> peer(world, *truth, who);
                peer.join(layout::kEndInOrder);
                (void)peer.get();
                peer.leave();
            });
        }
    };
}

// A newcomer in the middle of a block stream: from its first frame on it loses nothing.
template <class Ground>
Setup lossless_for_a_newcomer(std::size_t slots) {
    return [=](World& world) {
        auto truth = std::make_shared<StreamTruth>(world, slots, kBegin);
        world.spawn({.name = "publisher", .row = 0}, [&world, truth](Process& who) {
            StreamPeer<Ground> peer(world, *truth, who);
            for (int k = 0; k < 6; ++k) (void)peer.publish(true);
        });
        for (std::size_t row = 1; row < 3; ++row) {
            world.spawn({.name = "reader", .row = row}, [&world, truth](Process& who) {
                StreamPeer<Ground> peer(world, *truth, who);
                peer.join(layout::kEndInOrder);
                std::uint64_t lost_before_first = 0;
                bool began = false;
                for (int k = 0; k < 8; ++k) {
                    const bool got = peer.get();
                    if (!began) lost_before_first = peer.lost();
                    began |= got;
                    world.pause();
                }
                world.require(peer.lost() == lost_before_first, "a block stream lost a frame");
                peer.leave();
            });
        }
    };
}

// One who always finds a slot, whoever dies: slots for each that may hold one, the newest, and his.
template <class Ground>
Setup survivor(std::size_t readers) {
    return [=](World& world) {
        auto truth = std::make_shared<StreamTruth>(world, 3 + readers, kBegin);
        world.spawn({.name = "survivor", .may_be_killed = false}, [&world, truth](Process& who) {
            StreamPeer<Ground> peer(world, *truth, who);
            for (int k = 0; k < 5; ++k) world.require(peer.publish(), "a slot did not come back");
        });
        world.spawn({.name = "other", .row = 1, .lives = 3}, [&world, truth](Process& who) {
            StreamPeer<Ground> peer(world, *truth, who);
            for (int k = 0; k < 2; ++k) (void)peer.publish(false, k == 0);
        });
        for (std::size_t row = 2; row < 2 + readers; ++row) {
            world.spawn({.name = "reader", .row = row, .lives = 3}, [&world, truth](Process& who) {
                StreamPeer<Ground> peer(world, *truth, who);
                peer.join(layout::kEndInOrder);
                for (int k = 0; k < 3; ++k) (void)peer.get();
                peer.leave();
            });
        }
    };
}

TEST(SlotRing, one_publisher_one_reader) {
    EXPECT_TRUE(holds(explore({.slices = Slices::never}, 30000, free_running<SimGround>({}))));
}
TEST(SlotRing, one_publisher_one_reader_under_weak_memory) {
    const Plan plan{.slices = Slices::never, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 30000, free_running<SimGround>({.slots = 2, .frames = 4}))));
}
TEST(SlotRing, two_publishers_two_readers_with_kills_under_weak_memory) {
    const Plan plan{.slices = Slices::when_idle, .kills = 2, .weak_memory = true};
    EXPECT_TRUE(holds(explore(
        plan, 30000, free_running<SimGround>({.publishers = 2, .readers = 2, .lives = 2}))));
}
TEST(SlotRing, the_newest_for_two_readers_with_kills) {
    const Plan plan{.slices = Slices::when_idle, .kills = 2, .weak_memory = true};
    EXPECT_TRUE(holds(
        explore(plan, 30000,
                free_running<SimGround>(
                    {.publishers = 2, .readers = 2, .kind = layout::kEndLatest, .lives = 2}))));
}
TEST(SlotRing, copies_without_a_pin_are_whole_or_lost) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 30000,
                              free_running<SimGround>({.slots = 2,
                                                       .publishers = 2,
                                                       .frames = 4,
                                                       .gets = 5,
                                                       .lives = 2,
                                                       .by_copying = true}))));
}
TEST(SlotRing, numbers_wrap) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1, .weak_memory = true};
    for (const std::uint32_t kind : {layout::kEndInOrder, layout::kEndLatest}) {
        EXPECT_TRUE(holds(explore(plan, 15000,
                                  free_running<SimGround>({.publishers = 2,
                                                           .frames = 4,
                                                           .readers = 1,
                                                           .kind = kind,
                                                           .gets = 6,
                                                           .lives = 2,
                                                           .first_seq = kJustBeforeWrap}))));
    }
}
TEST(SlotRing, block_loses_nothing_and_nobody_oversleeps) {
    EXPECT_TRUE(holds(explore({.slices = Slices::never}, 15000, lossless<SimGround>(2, 1, 5))));
    EXPECT_TRUE(holds(explore({.slices = Slices::when_idle, .weak_memory = true}, 15000,
                              lossless<SimGround>(3, 2, 3))));
}
TEST(SlotRing, a_slot_that_comes_back_wakes_who_waits_for_it_under_weak_memory) {
    const Plan plan{.slices = Slices::never, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 30000, discarded_while_somebody_waits<SimGround>())));
}
TEST(SlotRing, block_loses_nothing_when_publishers_die) {
    const Plan plan{.slices = Slices::when_idle, .kills = 2, .weak_memory = true};
    for (const std::size_t slots : {2, 3, 6}) {
        EXPECT_TRUE(holds(explore(plan, 10000, lossless_under_kills<SimGround>(slots))));
    }
}
TEST(SlotRing, block_loses_nothing_for_newcomers) {
    const Plan plan{.slices = Slices::when_idle, .weak_memory = true};
    for (const std::size_t slots : {2, 3, 4}) {
        EXPECT_TRUE(holds(explore(plan, 10000, lossless_for_a_newcomer<SimGround>(slots))));
    }
}
TEST(SlotRing, slots_of_the_dead_come_back) {
    const Plan plan{.slices = Slices::when_idle, .kills = 4, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 30000, survivor<SimGround>(1))));
}

testing::AssertionResult holds_always(const Plan& plan, int preemptions_max, const Setup& setup) {
    const Found found = explore_exhaustively(plan, preemptions_max, setup);
    if (!found.any) std::printf("             %s\n", found.text.c_str());
    return holds(found);
}

TEST(SlotRingExhaustive, two_slots_one_publisher_one_reader_one_kill) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(
        holds_always(plan, 3, free_running<SimGround>({.slots = 2, .frames = 3, .gets = 2})));
}
TEST(SlotRingExhaustive, two_publishers_one_kill) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(holds_always(
        plan, 3,
        free_running<SimGround>({.slots = 3, .publishers = 2, .frames = 2, .readers = 0})));
}
TEST(SlotRingExhaustive, two_publishers_one_reader) {
    const Plan plan{.slices = Slices::never};
    EXPECT_TRUE(holds_always(
        plan, 2, free_running<SimGround>({.slots = 3, .publishers = 2, .frames = 2, .gets = 2})));
}

TEST(SlotRingExhaustive, the_newest_one_kill) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(holds_always(
        plan, 1,
        free_running<SimGround>(
            {.slots = 2, .frames = 3, .kind = layout::kEndLatest, .gets = 2, .lives = 2})));
}
TEST(SlotRingExhaustive, copies_one_kill) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(holds_always(plan, 2,
                             free_running<SimGround>({.slots = 2, .gets = 2, .by_copying = true})));
}
TEST(SlotRingExhaustive, block_loses_nothing) {
    const Plan plan{.slices = Slices::never};
    EXPECT_TRUE(holds_always(plan, 3, lossless<SimGround>(2, 1, 3)));
    EXPECT_TRUE(holds_always(plan, 1, lossless<SimGround>(2, 2, 2)));
}
TEST(SlotRingExhaustive, block_loses_nothing_when_its_publisher_is_killed_anywhere) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(holds_always(plan, 1, lossless_under_kills<SimGround>(2, 2, 2, 6)));
}
TEST(SlotRingExhaustive, nobody_waits_for_a_reader_that_is_killed_anywhere) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(holds_always(plan, 1, readers_that_die<SimGround>(2, 1, 4)));
}
// ---- canaries -----------------------------------------------------------------------------------

// The bit is set without an order: it may be seen after the look at the slot's word.
struct PinsWithoutOrder : SimGround {
    using SimGround::SimGround;
    void set_bits_seq_cst(auto& word, std::uint64_t bits) {
        store_relaxed(word, load_relaxed(word) | bits);
    }
};
TEST(SlotRingCanary, a_pin_without_an_order_is_caught) {
    const Plan plan{.slices = Slices::never, .weak_memory = true};
    const Cast cast{.slots = 2, .frames = 5, .gets = 5};
    EXPECT_TRUE(is_caught(hunt(plan, 60000, free_running<PinsWithoutOrder>(cast)), "wrong frame"));
}

// The claimer's bytes may be seen before its BUSY.
struct BytesBeforeBusy : SimGround {
    using SimGround::SimGround;
    void fence_release() const {}
    template <class Word>
    bool compare_exchange_seq_cst(Word& word, Number<Word>& expected,
                                  std::type_identity_t<Number<Word>> desired) {
        if constexpr (sizeof(Word) == 8) {
            if (sync::kind_of(desired) == sync::SlotKind::busy && load_relaxed(word) == expected) {
                store_relaxed(word, desired);
                return true;
            }
        }
        return SimGround::compare_exchange_seq_cst(word, expected, desired);
    }
};
TEST(SlotRingCanary, bytes_that_overtake_busy_are_caught_by_copies) {
    const Plan plan{.slices = Slices::never, .weak_memory = true};
    const Cast cast{.slots = 2, .frames = 5, .gets = 5, .by_copying = true};
    EXPECT_TRUE(is_caught(hunt(plan, 60000, free_running<BytesBeforeBusy>(cast)), "wrong frame"));
}

// The claimer sees no pins.
struct BlindToPins : SimGround {
    using SimGround::SimGround;
    template <class Word>
    auto load_seq_cst(const Word& word) const {
        auto value = SimGround::load_seq_cst(word);
        const auto* at = reinterpret_cast<const std::byte*>(&word);
        const layout::StreamControl control(world().control().base(), 2);
        for (std::size_t end = 0; end < 2; ++end) {
            if (at == reinterpret_cast<const std::byte*>(&control.pins(end, 0))) value = 0;
        }
        return value;
    }
};
TEST(SlotRingCanary, a_claimer_blind_to_pins_is_caught) {
    const Plan plan{.slices = Slices::never};
    const Cast cast{.slots = 2, .frames = 5, .gets = 5};
    EXPECT_TRUE(is_caught(hunt(plan, 60000, free_running<BlindToPins>(cast)), ""));
}

// A newcomer may see an older newest frame than what publishers claimed before they saw him.
struct LooksEarly : SimGround {
    using SimGround::SimGround;
    template <class Word>
    auto load_seq_cst(const Word& word) const {
        const auto* at = reinterpret_cast<const std::byte*>(&word);
        const auto* latest = reinterpret_cast<const std::byte*>(&world().control().words().latest);
        return at == latest ? SimGround::load_acquire(word) : SimGround::load_seq_cst(word);
    }
};
TEST(SlotRingCanary, a_newcomers_early_look_at_the_newest_is_caught) {
    const Plan plan{.slices = Slices::when_idle, .weak_memory = true};
    EXPECT_TRUE(is_caught(hunt(plan, 300000, lossless_for_a_newcomer<LooksEarly>(3)), "lost"));
}

// Everybody who does not answer at once is taken for dead.
struct TakesForDead : SimGround {
    using SimGround::SimGround;
    bool owner_is_alive(std::uint64_t owner) const {
        return sync::row_of(owner) == own_row() && SimGround::owner_is_alive(owner);
    }
};
TEST(SlotRingCanary, taking_the_living_for_dead_is_caught) {
    const Plan plan{.slices = Slices::never};
    const Cast cast{.slots = 2, .publishers = 2, .frames = 4, .gets = 5};
    EXPECT_TRUE(is_caught(hunt(plan, 60000, free_running<TakesForDead>(cast)), ""));
}

// A dead publisher's READY is taken for unpublished, always.
struct ForgetsCommits : SimGround {
    using SimGround::SimGround;
    template <class Word>
    bool compare_exchange(Word& word, Number<Word>& expected,
                          std::type_identity_t<Number<Word>> desired) {
        if constexpr (sizeof(Word) == 8) {
            const bool resolves = sync::kind_of(expected) == sync::SlotKind::ready &&
                                  sync::kind_of(desired) == sync::SlotKind::published;
            if (resolves) desired = 0;
        }
        return SimGround::compare_exchange(word, expected, desired);
    }
};
TEST(SlotRingExhaustiveCanary, forgetting_a_dead_publishers_commit_is_caught) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(is_caught(
        explore_exhaustively(plan, 2, lossless_under_kills<ForgetsCommits>(2, 2, 2, 6)), "lost"));
}

// The dead are never found out.
struct TakesForLiving : SimGround {
    using SimGround::SimGround;
    bool owner_is_alive(std::uint64_t) const { return true; }
};
TEST(SlotRingExhaustiveCanary, waiting_for_a_dead_reader_is_caught) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(
        is_caught(explore_exhaustively(plan, 2, readers_that_die<TakesForLiving>(2, 1, 4)), ""));
}

TEST(SlotRingCanary, forgetting_a_dead_publishers_commit_is_caught) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(is_caught(hunt(plan, 60000, lossless_under_kills<ForgetsCommits>(2)), "lost"));
}

}  // namespace
}  // namespace ndshare::schedule
