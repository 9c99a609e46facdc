// The handshakes of a stream's ring, one small world each: the words as they are a moment before,
// those who meet, and what neither may miss under weak memory.
#include "schedule/explore.h"
#include "schedule/ring_model.h"
#include "schedule/stage.h"

namespace ndshare::schedule {
namespace {

const Plan kOnlyWakes{.slices = Slices::never, .weak_memory = true};
using Hand = HandOf<SimGround>;

// ---- room ---------------------------------------------------------------------------------------

enum Moment { kWaiterLooks = 1, kTold = 2 };

// The waiter is about to say that it waits when somebody makes room, and looks whether one waits.
template <class Ground>
void waiter(World& world, const Ring& ring, std::size_t row, bool ask) {
    world.spawn({.name = "waiter", .row = row}, [&world, ring, ask](Process& who) {
        HandOf<Ground> hand(world, ring, who);
        hand.wait_for_slot(ask, [&] {
            ring.say(kWaiterLooks);
            ring.pause_until(kTold);
        });
        hand.gate.open();
    });
}

template <class Ground>
Setup unpinned() {
    return [](World& world) {
        Ring ring(world, 2);
        ring.has(kBegin + 1, 0);
        ring.has_newest(kBegin + 2, 1);
        ring.has_end(1, kBegin + 1, sync::bit_of(0));
        waiter<Ground>(world, ring, 0, false);
        world.spawn({.name = "reader", .row = 1}, [&world, ring](Process& who) {
            HandOf<Ground> hand(world, ring, who);
            ring.pause_until(kWaiterLooks);
            hand.ring.unpin(0, 0);
            ring.say(kTold);
            hand.gate.pass();
        });
    };
}
TEST(StreamRoom, an_unpin_is_seen_or_told) {
    EXPECT_TRUE(holds(explore(kOnlyWakes, 10000, unpinned<SimGround>())));
}

TEST(StreamRoom, a_cursor_comes_with_its_unpin) {
    const auto setup = [](World& world) {
        Ring ring(world, 2);
        ring.has(kBegin + 1, 0);
        ring.has_newest(kBegin + 2, 1);
        ring.has_end(1, kBegin, sync::bit_of(0));
        waiter<SimGround>(world, ring, 0, true);
        world.spawn({.name = "reader", .row = 1}, [&world, ring](Process& who) {
            Hand hand(world, ring, who);
            ring.pause_until(kWaiterLooks);
            hand.ground.store_release(hand.control.end(0).cursor, kBegin + 1);
            hand.ring.unpin(0, 0);
            ring.say(kTold);
            hand.gate.pass();
        });
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 40000, setup)));
}

// Its publisher is overtaken at READY: by `overtaken_at`, when somebody else puts it in the
// history.
template <class Ground>
Setup overtaken(bool after_its_look_at_the_history) {
    return [=](World& world) {
        Ring ring(world, 2);
        ring.has_none();
        ring.is_filled_by(0, 0);
        ring.is_filled_by(1, 1);
        enum { kCommitted = 1, kOvertaken, kLooked };
        const std::uint64_t place = sync::place_word(kBegin + 1, 0);
        Stage stage(world);
        const void* word =
            after_its_look_at_the_history ? &ring.control().ring(kBegin + 1) : &ring.latest();
        stage.hold(
            0, word,
            [ring, place] {
                if (ring.last_latest() != place) return false;
                ring.say(kCommitted);
                return true;
            },
            [ring] { return ring.is(kOvertaken); });
        world.spawn({.name = "first", .row = 0}, [&world, ring](Process& who) {
            HandOf<Ground> hand(world, ring, who);
            (void)hand.ring.publish(who.owner, 0);
            hand.ends.tell_room();
            ring.say(kLooked);
            hand.gate.pass();
        });
        world.spawn({.name = "second", .row = 1}, [&world, ring](Process& who) {
            HandOf<Ground> hand(world, ring, who);
            ring.pause_until(kCommitted);
            (void)hand.ring.publish(who.owner, 1);
            ring.say(kOvertaken);
            hand.wait_for_slot(false, [&] { ring.pause_until(kLooked); });
            hand.gate.open();
        });
    };
}
TEST(StreamRoom, a_publisher_that_was_overtaken_shows_its_frame_or_tells) {
    EXPECT_TRUE(holds(explore(kOnlyWakes, 10000, overtaken<SimGround>(false))));
}
TEST(StreamRoom, a_publisher_that_was_overtaken_at_the_history_shows_its_frame_or_tells) {
    EXPECT_TRUE(holds(explore(kOnlyWakes, 10000, overtaken<SimGround>(true))));
}

TEST(StreamRoom, who_commits_on_top_of_a_frame_shows_that_it_is_published) {
    const auto setup = [](World& world) {
        Ring ring(world, 3);
        ring.has_newest(kBegin + 1, 2);
        ring.has_end(3, kBegin + 9, sync::bit_of(2));  // stays
        ring.is_filled_by(0, 0);
        ring.is_filled_by(1, 1);
        enum { kFirstLooked = 1, kSecondLooked };
        world.spawn({.name = "first", .row = 0}, [&world, ring](Process& who) {
            Hand hand(world, ring, who);
            (void)hand.ring.publish(who.owner, 0);
            hand.ends.tell_room();
            ring.say(kFirstLooked);
            hand.gate.pass();
        });
        world.spawn({.name = "second", .row = 1}, [&world, ring](Process& who) {
            Hand hand(world, ring, who);
            ring.pause_until(kFirstLooked);
            (void)hand.ring.publish(who.owner, 1);
            hand.ends.tell_room();
            ring.say(kSecondLooked);
            hand.gate.pass();
        });
        world.spawn({.name = "third", .row = 2}, [&world, ring](Process& who) {
            Hand hand(world, ring, who);
            ring.pause_until(kSecondLooked);
            // Only the first one's slot can be had.
            hand.wait_for_slot(false, [] {});
            hand.gate.open();
        });
        world.spawn({.name = "reader", .row = 3},
                    [&world, ring](Process& who) { Hand(world, ring, who).gate.pass(); });
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 20000, setup)));
}

// It takes the place of a frame that is gone for one that is there, for as long as it looks.
TEST(StreamRoom, a_pin_in_vain_is_not_slept_on) {
    const auto setup = [](World& world) {
        Ring ring(world, 2);
        ring.has(kBegin + 3, 0);
        ring.has_newest(kBegin + 4, 1);
        ring.has_end(1, kBegin + 9, 0);
        // Of a frame that went there before: as it looks to who stood still.
        world.set_initial(ring.control().ring(kBegin + 1), sync::place_word(kBegin + 1, 0));
        waiter<SimGround>(world, ring, 0, false);
        world.spawn({.name = "reader", .row = 1}, [&world, ring](Process& who) {
            Hand hand(world, ring, who);
            ring.say(kTold);
            world.require(hand.ring.take_exactly(0, kBegin + 1, hand.place) ==
                              sync::SlotRing<SimGround>::Exact::gone,
                          "a frame that is gone was found");
            hand.gate.pass();
        });
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 20000, setup)));
}

TEST(StreamRoom, a_slot_that_is_put_back_is_seen_or_told) {
    const auto setup = [](World& world) {
        Ring ring(world, 2);
        ring.has(kBegin + 1, 0);
        ring.has_newest(kBegin + 2, 1);
        ring.has_end(2, kBegin + 1, 0);
        waiter<SimGround>(world, ring, 0, false);
        enum { kPutBack = kWaiterLooks, kUnpinned = kTold };
        auto is_pinned = std::make_shared<bool>(false), is_put_back = std::make_shared<bool>(false);
        auto looks = std::make_shared<bool>(false);
        // It is pinned between the other's look and its BUSY.
        Stage stage(world);
        stage.hold(
            1, &ring.control().end(0).kind, [looks] { return *looks = true; },
            [is_pinned] { return *is_pinned; });
        world.spawn({.name = "other", .row = 1}, [&world, ring, is_put_back](Process& who) {
            Hand hand(world, ring, who);
            world.require(!hand.ring.claim(who.owner, true, false, hand.memory),
                          "a pinned slot was claimed");
            *is_put_back = true;
            hand.gate.pass();
        });
        world.spawn({.name = "reader", .row = 2}, [=, &world](Process& who) {
            Hand hand(world, ring, who);
            while (!*looks) world.pause();
            world.require(hand.ring.take_exactly(0, kBegin + 1, hand.place) ==
                              sync::SlotRing<SimGround>::Exact::frame,
                          "a published frame was not to be had");
            *is_pinned = true;
            while (!*is_put_back || !ring.is(kWaiterLooks)) world.pause();
            hand.ring.unpin(0, 0);
            ring.say(kTold);
            hand.gate.pass();
        });
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 10000, setup)));
}

// ---- latest -------------------------------------------------------------------------------------

// As arm_bell and ring_armed do: the pipe is a word of its own, so that nothing but the bell wakes.
template <class Ground, class Change>
Setup bell(Change change) {
    return [=](World& world) {
        Ring ring(world, 2);
        ring.has_newest(kBegin + 1, 1);
        ring.is_filled_by(0, 0);
        world.spawn({.name = "ringer", .row = 0}, [&world, ring, change](Process& who) {
            HandOf<Ground> hand(world, ring, who);
            auto& need_ring = hand.control.words().need_ring;
            change(hand);
            if (hand.ground.load_seq_cst(need_ring) == 0) return;
            hand.ground.exchange_seq_cst(need_ring, 0);
            hand.ground.store_seq_cst(world.scratch(1), 1);
            hand.ground.wake_all(world.scratch(1));
        });
        world.spawn({.name = "poller", .row = 1}, [&world, ring](Process& who) {
            HandOf<Ground> hand(world, ring, who);
            const std::uint64_t seen = sync::place_word(kBegin + 1, 1);
            hand.ground.store_seq_cst(hand.control.words().need_ring, 1);
            hand.ground.fence_seq_cst();
            if (hand.ring.latest() != seen) return;
            hand.ground.sleep(world.scratch(1), 0, platform::kForeverNs);
        });
    };
}
constexpr auto kPublishes = [](auto& hand) { (void)hand.ring.publish(hand.who.owner, 0); };
constexpr auto kEnds = [](auto& hand) { hand.ring.end(); };
TEST(StreamBell, a_frame_rings_or_is_seen) {
    EXPECT_TRUE(holds(explore(kOnlyWakes, 10000, bell<SimGround>(kPublishes))));
}
TEST(StreamBell, the_end_rings_or_is_seen) {
    EXPECT_TRUE(holds(explore(kOnlyWakes, 5000, bell<SimGround>(kEnds))));
}

// Rows 0 and 1 publish the first two frames of a ring of two slots.
Ring first_two_frames(World& world) {
    Ring ring(world, 2);
    ring.has_none();
    for (std::size_t row = 0; row < 2; ++row) {
        ring.is_filled_by(row, row);
        world.spawn({.name = "publisher", .row = row}, [&world, ring, row](Process& who) {
            (void)Hand(world, ring, who).ring.publish(who.owner, row);
        });
    }
    return ring;
}

TEST(StreamEnd, comes_though_frames_come_at_the_same_time) {
    const auto setup = [](World& world) {
        const Ring ring = first_two_frames(world);
        world.spawn({.name = "ender", .row = 2}, [&world, ring](Process& who) {
            Hand(world, ring, who).ring.end();
            world.require(sync::is_ended(ring.last_latest()), "the stream goes on after its end");
        });
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 3000, setup)));
}

// ---- slot-word, history -------------------------------------------------------------------------

TEST(StreamFrames, that_are_there_are_never_called_gone) {
    const auto setup = [](World& world) {
        const Ring ring = first_two_frames(world);
        world.spawn({.name = "reader", .row = 2}, [&world, ring](Process& who) {
            Hand hand(world, ring, who);
            for (int look = 0; look < 6; ++look) {
                const auto found = hand.ring.take_exactly(0, kBegin + 1, hand.place);
                world.require(found != sync::SlotRing<SimGround>::Exact::gone,
                              "a frame that is there is called gone");
            }
        });
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 40000, setup)));
}

// The frame is somebody's, whom a claimer meets after BUSY: it puts it back while the reader looks.
template <class Take>
Setup frame_that_is_put_back(Take take) {
    return [=](World& world) {
        Ring ring(world, 2);
        ring.has(kBegin + 1, 0);
        ring.has_newest(kBegin + 2, 1);
        ring.has_end(2, kBegin + 1, 0);
        ring.has_end(1, kBegin, 0);
        auto looks = std::make_shared<int>(0);
        auto is_pinned = std::make_shared<bool>(false);
        const auto is_busy = [&world, ring] {
            return sync::kind_of(world.last(ring.word(0))) == sync::SlotKind::busy;
        };
        Stage stage(world);
        stage.hold(0, &ring.word(0), is_busy, [=] { return *is_pinned && *looks == 3; });
        stage.hold(
            1, &ring.word(0), [looks] { return ++*looks == 3; }, [is_busy] { return !is_busy(); });
        world.spawn({.name = "claimer", .row = 0}, [&world, ring](Process& who) {
            Hand hand(world, ring, who);
            (void)hand.ring.claim(who.owner, false, false, hand.memory);
        });
        world.spawn({.name = "reader", .row = 1}, [&world, ring, is_busy, take](Process& who) {
            Hand hand(world, ring, who);
            while (!is_busy()) world.pause();
            world.require(take(hand), "a frame that is put back is lost");
        });
        world.spawn({.name = "pinner", .row = 2}, [=, &world](Process& who) {
            Hand hand(world, ring, who);
            while (!is_busy()) world.pause();
            hand.ground.set_bits_seq_cst(hand.control.pins(0, 0), sync::bit_of(0));
            *is_pinned = true;
        });
    };
}
TEST(StreamFrames, are_not_lost_to_a_claimer_that_puts_them_back) {
    const auto setup = frame_that_is_put_back([](Hand& hand) {
        std::uint64_t cursor = kBegin;
        (void)hand.ring.take_next(1, cursor, hand.lost, hand.place);
        return hand.lost == 0;
    });
    EXPECT_TRUE(holds(explore({.slices = Slices::never}, 300, setup)));
}
TEST(StreamFrames, that_are_held_are_found_while_a_claimer_puts_them_back) {
    const auto setup = frame_that_is_put_back([](Hand& hand) {
        return hand.ring.take_exactly(1, kBegin + 1, hand.place) ==
               sync::SlotRing<SimGround>::Exact::frame;
    });
    EXPECT_TRUE(holds(explore({.slices = Slices::never}, 300, setup)));
}

// A publisher dies behind its commit, and its row is taken by the next: that the former is dead
// says the epoch, and with it comes what it did.
TEST(StreamRecovery, sees_the_commit_of_whom_the_epoch_calls_dead) {
    const auto setup = [](World& world) {
        Ring ring(world, 2);
        ring.has_none();
        ring.is_filled_by(0, 0);
        ring.is_filled_by(1, 1);
        enum { kRecovererLooked = 1, kReborn };
        const std::uint64_t place = sync::place_word(kBegin + 1, 0);
        auto looks = std::make_shared<int>(0);
        Stage stage(world);
        stage.once(
            0, &ring.latest(), [ring, place] { return ring.last_latest() == place; },
            [&world] { world.die(); });
        stage.hold(
            1, &ring.latest(),
            [ring, looks] {
                if (++*looks < 2) return false;
                ring.say(kRecovererLooked);
                return true;
            },
            [ring] { return ring.is(kReborn); });
        world.spawn({.name = "publisher", .row = 0, .lives = 2}, [&world, ring](Process& who) {
            Hand hand(world, ring, who);
            ring.pause_until(kRecovererLooked);
            if (who.life == 0) (void)hand.ring.publish(who.owner, 0);
            ring.say(kReborn);
            hand.gate.pass();
        });
        world.spawn({.name = "recoverer", .row = 1}, [&world, ring](Process& who) {
            Hand hand(world, ring, who);
            (void)hand.ring.claim(who.owner, false, true, hand.memory);
            hand.gate.open();
        });
        world.at_end([&world, ring, place] {
            world.require(ring.last_latest() == place, "the publisher did not commit");
            world.require(sync::shows(world.last(ring.word(0)), kBegin + 1),
                          "a frame that was published is gone");
        });
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 3000, setup)));
}

// ---- row-epoch ----------------------------------------------------------------------------------

// An end's owner dies, and the next process of its row takes the end: whoever looks meanwhile may
// take the former one for dead, but not the new one, and remember that.
TEST(StreamPins, of_who_took_a_dead_ones_end_count) {
    const auto setup = [](World& world) {
        Ring ring(world, 2);
        ring.has(kBegin + 1, 0);
        ring.has_newest(kBegin + 2, 1);
        ring.has_end(1, kBegin, sync::bit_of(0));
        enum { kHeld = 1, kLooked };
        world.spawn({.name = "publisher", .row = 0}, [&world, ring](Process& who) {
            Hand hand(world, ring, who);
            // Over the frame that the dead one has pinned; then there is none but the reader's.
            const auto first = hand.ring.claim(who.owner, false, true, hand.memory);
            if (first) {
                (void)hand.ring.publish(who.owner, first.slot);
                ring.pause_until(kHeld);
                world.require(!hand.ring.claim(who.owner, false, true, hand.memory),
                              "a slot was claimed that a living one has pinned");
            }
            ring.say(kLooked);
        });
        world.spawn({.name = "reader", .row = 1, .lives = 2}, [&world, ring](Process& who) {
            Hand hand(world, ring, who);
            if (who.life == 0) world.die();
            const std::size_t end = hand.ends.take(who.owner, layout::kEndInOrder);
            world.require(hand.ring.take_exactly(end, kBegin + 2, hand.place) ==
                              sync::SlotRing<SimGround>::Exact::frame,
                          "the newest frame is gone");
            ring.say(kHeld);
            ring.pause_until(kLooked);
        });
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 20000, setup)));
}

// ---- cursor, joins ------------------------------------------------------------------------------

// A newcomer that reads nothing, and a publisher that goes on as long as it may.
template <class Ground>
Setup newcomer(std::uint64_t begin) {
    return [begin](World& world) {
        Ring ring(world, 2, begin);
        ring.has(begin + 1, 0);
        ring.has_newest(begin + 2, 1);
        world.spawn({.name = "publisher", .row = 0}, [&world, ring](Process& who) {
            HandOf<Ground> hand(world, ring, who);
            for (int k = 0; k < 4; ++k) {
                const auto claim = hand.ring.claim(who.owner, true, false, hand.memory);
                if (claim) (void)hand.ring.publish(who.owner, claim.slot);
            }
        });
        auto began = std::make_shared<std::uint64_t>(0);
        world.spawn({.name = "newcomer", .row = 1}, [&world, ring, began](Process& who) {
            HandOf<Ground> hand(world, ring, who);
            const std::size_t end = hand.ends.take(who.owner, layout::kEndJoining);
            *began = hand.ring.before_oldest();
            // As EndLease::set_cursor: it comes with the kind.
            hand.ground.store_release(hand.control.end(end).cursor, *began);
            hand.ground.store_seq_cst(hand.control.end(end).kind, layout::kEndInOrder);
        });
        world.at_end([&world, ring, began] {
            const std::uint64_t newest = sync::seq_of(ring.last_latest());
            for (std::uint64_t seq = *began + 1; seq <= newest; ++seq) {
                world.require(sync::shows(world.last(ring.word(0)), seq) ||
                                  sync::shows(world.last(ring.word(1)), seq),
                              "a frame after the newcomer's beginning is gone");
            }
        });
    };
}
TEST(StreamNewcomer, keeps_every_frame_from_where_it_begins) {
    EXPECT_TRUE(holds(explore(kOnlyWakes, 40000, newcomer<SimGround>(kBegin))));
}
// There a cursor that is not set yet is no small one.
TEST(StreamNewcomer, keeps_every_frame_where_numbers_are_beyond_half_of_their_range) {
    EXPECT_TRUE(
        holds(explore(kOnlyWakes, 20000, newcomer<SimGround>((std::uint64_t{1} << 47) + kBegin))));
}

// ---- canaries -----------------------------------------------------------------------------------

// Nothing has its place in the order of all: neither what changes a word, nor a fence.
struct WithoutOneOrder : SimGround {
    using SimGround::SimGround;
    void clear_bits_seq_cst(auto& word, std::uint64_t bits) { clear_bits_acq_rel(word, bits); }
    template <class Word>
    bool compare_exchange_seq_cst(Word& word, Number<Word>& expected,
                                  std::type_identity_t<Number<Word>> desired) {
        return compare_exchange(word, expected, desired);
    }
    void fence_seq_cst() const {
        fence_acquire();
        fence_release();
    }
};
TEST(StreamRoomCanary, an_unpin_that_overtakes_the_look_is_caught) {
    EXPECT_TRUE(is_caught(hunt(kOnlyWakes, 10000, unpinned<WithoutOneOrder>()), "sleeps"));
}
TEST(StreamRoomCanary, a_look_without_a_fence_after_being_overtaken_is_caught) {
    EXPECT_TRUE(is_caught(hunt(kOnlyWakes, 10000, overtaken<WithoutOneOrder>(false)), "sleeps"));
}
TEST(StreamBellCanary, a_frame_that_comes_after_the_ringers_look_is_caught) {
    EXPECT_TRUE(is_caught(hunt(kOnlyWakes, 10000, bell<WithoutOneOrder>(kPublishes)), "sleeps"));
}
TEST(StreamNewcomerCanary, a_newcomer_that_is_overlooked_is_caught) {
    EXPECT_TRUE(
        is_caught(hunt(kOnlyWakes, 40000, newcomer<WithoutOneOrder>(kBegin)), "beginning is gone"));
}

}  // namespace
}  // namespace ndshare::schedule
