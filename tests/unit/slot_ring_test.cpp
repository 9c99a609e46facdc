// A ring by one thread, step by step: which slot is claimed, who is in the way, what is found.
#include "sync/slot_ring.h"

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

#include "support/one_ring.h"

namespace ndshare::sync {
namespace {

using support::kSlots;
using support::OneRing;
using support::PlainGround;
using support::Ring;

TEST_F(OneRing, numbers_its_frames_and_says_where_they_are) {
    EXPECT_EQ(ring.last_seq(), 0U);
    EXPECT_FALSE(ring.has_next(0));
    for (std::uint64_t seq = 1; seq <= 20; ++seq) {
        EXPECT_EQ(publish(), seq);
        EXPECT_EQ(ring.last_seq(), seq);
        EXPECT_TRUE(ring.has_next(seq - 1));
        EXPECT_FALSE(ring.has_next(seq));
        std::size_t slot = 99;
        ASSERT_TRUE(ring.where(seq, slot));
        EXPECT_EQ(word(slot), published_word(seq));
        EXPECT_EQ(ground.load_relaxed(control.slot(slot).seq), seq);
        EXPECT_EQ(ground.load_relaxed(control.ring(seq)), place_word(seq, slot));
        EXPECT_TRUE(ring.is_there(slot, seq));
        EXPECT_FALSE(ring.is_there(slot, seq - 1));
    }
}

TEST_F(OneRing, wakes_who_said_that_it_sleeps) {
    publish_many(1);
    EXPECT_FALSE(ground.woke(&control.words().latest));
    ground.store_relaxed(control.words().need_wake, 1U);
    publish_many(1);
    EXPECT_TRUE(ground.woke(&control.words().latest));
    publish_many(1);
    EXPECT_FALSE(ground.woke(&control.words().latest));
}

TEST_F(OneRing, raises_its_anchor_every_million_frames) {
    const std::uint64_t step = std::uint64_t{1} << 20;
    ground.store_relaxed(control.words().latest, place_word(step - 2, 3));
    EXPECT_EQ(publish(), step - 1);
    EXPECT_EQ(ring.anchor(), 0U);
    EXPECT_EQ(publish(), step);
    EXPECT_EQ(ring.anchor(), step);
    EXPECT_EQ(publish(), step + 1);
    EXPECT_EQ(ring.anchor(), step);
}

TEST_F(OneRing, gives_exactly_the_frame_that_is_asked_for) {
    publish_many(6);
    const std::size_t end = ends.take(reader, layout::kEndRefs);
    EXPECT_EQ(ring.take_exactly(end, 5, place), Ring::Exact::frame);
    EXPECT_EQ(place.seq, 5U);
    EXPECT_EQ(pins(end), bit_of(place.slot));
    ring.unpin(end, place.slot);
    EXPECT_EQ(ring.take_exactly(end, 7, place), Ring::Exact::not_yet);
    EXPECT_EQ(ring.take_exactly(end, 1, place), Ring::Exact::gone);
    EXPECT_EQ(pins(end), 0U);
    // The newest, whose slot was taken for another one: gone and not to come.
    const std::size_t slot = slot_of(ring.latest());
    ground.store_relaxed(control.slot(slot).word, std::uint64_t{0});
    EXPECT_EQ(ring.take_exactly(end, 6, place), Ring::Exact::gone);
}

TEST_F(OneRing, hands_out_no_frame_that_was_not_committed) {
    publish_many(6);
    const std::size_t end = ends.take(reader, layout::kEndRefs);
    const auto is_ready_in_slot_0 = [&](std::uint64_t seq) {
        ground.store_relaxed(control.slot(0).word, owned_word(SlotKind::ready, publisher, seq));
    };
    is_ready_in_slot_0(7);
    EXPECT_EQ(ring.take_exactly(end, 7, place), Ring::Exact::not_yet);
    // It lost its number to another one's frame, which went through the history and is gone.
    ground.store_relaxed(control.slot(0).word, std::uint64_t{0});
    publish_many(14);
    is_ready_in_slot_0(1);
    EXPECT_EQ(ring.take_exactly(end, 1, place), Ring::Exact::gone);
    std::uint64_t cursor = 0, lost = 0;
    EXPECT_EQ(ring.take_next(end, cursor, lost, place), Ring::Outcome::frame);
    EXPECT_GT(place.seq, 16U);
    EXPECT_EQ(lost + 1, place.seq);
}

TEST_F(OneRing, gives_the_next_frame_that_is_left_and_counts_what_is_gone) {
    const std::size_t end = ends.take(reader, layout::kEndInOrder);
    std::uint64_t cursor = 0, lost = 0;
    EXPECT_EQ(ring.take_next(end, cursor, lost, place), Ring::Outcome::nothing);
    const auto next_is = [&](std::uint64_t seq, std::uint64_t lost_by_now) {
        ASSERT_EQ(ring.take_next(end, cursor, lost, place), Ring::Outcome::frame);
        EXPECT_EQ(place.seq, seq);
        EXPECT_EQ(cursor, seq);
        EXPECT_EQ(lost, lost_by_now);
        ring.unpin(end, place.slot);
    };
    publish_many(10);
    next_is(7, 6);
    next_is(8, 6);
    publish_many(40);  // more than the history has
    next_is(47, 44);
    for (const std::uint64_t seq : {48, 49, 50}) next_is(seq, 44);
    EXPECT_EQ(ring.take_next(end, cursor, lost, place), Ring::Outcome::nothing);
    EXPECT_EQ(cursor, 50U);
    EXPECT_EQ(lost, 44U);
}

TEST_F(OneRing, without_a_frame_has_nothing_to_lose) {
    ground.store_relaxed(control.words().latest, std::uint64_t{1000} << kSeqShift);
    std::uint64_t cursor = 900, lost = 0;
    EXPECT_EQ(ring.take_next(0, cursor, lost, place), Ring::Outcome::nothing);
    EXPECT_EQ(cursor, 900U);
    EXPECT_EQ(lost, 0U);
}

TEST_F(OneRing, copies_nothing_that_is_gone) {
    publish_many(4);
    std::size_t slot = 0;
    ASSERT_TRUE(ring.where(2, slot));
    ground.store_relaxed(control.slot(slot).word, owned_word(SlotKind::busy, publisher, 2));
    std::uint64_t cursor = 1, lost = 0;
    std::vector<std::uint64_t> copied;
    const auto copy = [&](const Ring::Place& from) { copied.push_back(from.seq); };
    EXPECT_EQ(ring.copy_next(cursor, lost, copy), Ring::Outcome::frame);
    EXPECT_EQ(copied, std::vector<std::uint64_t>{3});
    EXPECT_EQ(lost, 1U);
}

TEST_F(OneRing, keeps_its_order_where_numbers_are_beyond_half_of_their_range) {
    const std::uint64_t begin = (std::uint64_t{1} << 47) + 5;
    ground.store_relaxed(control.words().latest, begin << kSeqShift);
    ground.store_relaxed(control.words().seq_anchor, begin);
    const std::size_t end = ends.take(reader, layout::kEndInOrder);
    set_cursor(end, begin + 100);
    for (std::uint64_t seq = begin + 1; seq < begin + 6; ++seq) {
        EXPECT_EQ(publish(true), seq);
        std::size_t slot = 0;
        EXPECT_TRUE(ring.where(seq - (seq > begin + 1 ? 1 : 0), slot));
    }
    // The oldest is pinned: the claim looks for another one.
    const std::size_t refs = ends.take(reader, layout::kEndRefs);
    ASSERT_EQ(ring.take_exactly(refs, begin + 2, place), Ring::Exact::frame);
    EXPECT_EQ(publish(true), begin + 6);
    EXPECT_EQ(word(place.slot), published_word(begin + 2));
}

TEST_F(OneRing, does_not_put_an_older_frame_over_a_newer_one_in_its_history) {
    publish_many(4);
    const std::uint64_t newer = place_word(20, 2);  // of one who came round meanwhile
    ground.store_relaxed(control.ring(4), newer);
    publish_many(1);
    EXPECT_EQ(ground.load_relaxed(control.ring(4)), newer);
}

TEST_F(OneRing, lets_newcomers_begin_before_the_oldest_of_an_unbroken_row) {
    ground.store_relaxed(control.words().seq_anchor, std::uint64_t{0});
    EXPECT_EQ(ring.before_oldest(), 0U);
    publish_many(10);
    EXPECT_EQ(ring.before_oldest(), 6U);
    std::size_t slot = 0;
    ASSERT_TRUE(ring.where(8, slot));
    ground.store_relaxed(control.slot(slot).word, std::uint64_t{0});
    EXPECT_EQ(ring.before_oldest(), 8U);
}

TEST_F(OneRing, that_has_ended_says_so_after_its_last_frame) {
    publish_many(1);
    const std::size_t end = ends.take(reader, layout::kEndLatest);
    std::uint64_t cursor = 0, lost = 0;
    const std::size_t free_slot = ring.claim(publisher, false, false, known).slot;
    ring.end();
    EXPECT_TRUE(ground.woke(&control.words().latest));
    ring.end();
    EXPECT_EQ(ring.publish(publisher, free_slot), std::nullopt);
    EXPECT_EQ(ring.last_seq(), 1U);
    EXPECT_EQ(ring.take_latest(end, cursor, place), Ring::Outcome::frame);
    EXPECT_EQ(cursor, 1U);
    EXPECT_EQ(ring.take_latest(end, cursor, place), Ring::Outcome::ended);
    EXPECT_EQ(ring.take_next(end, cursor, lost, place), Ring::Outcome::ended);
    EXPECT_EQ(lost, 0U);
}

TEST_F(OneRing, that_is_sealed_takes_no_frame_and_has_not_ended) {
    publish_many(1);
    const std::size_t end = ends.take(reader, layout::kEndLatest);
    std::uint64_t cursor = 1;
    const std::size_t free_slot = ring.claim(publisher, false, false, known).slot;
    ring.seal();
    EXPECT_TRUE(is_sealed(ring.latest()));
    EXPECT_FALSE(is_ended(ring.latest()));
    EXPECT_EQ(ring.publish(publisher, free_slot), std::nullopt);
    EXPECT_EQ(ring.take_latest(end, cursor, place), Ring::Outcome::nothing);
    ring.end();
    EXPECT_TRUE(is_ended(ring.latest()) && is_sealed(ring.latest()));
}

// ---- who is in the way --------------------------------------------------------------------------

TEST_F(OneRing, claims_free_slots_then_the_oldest_frame_and_never_the_newest) {
    publish_many(5);
    std::size_t oldest = 0;
    ASSERT_TRUE(ring.where(2, oldest));
    const auto claim = ring.claim(publisher, false, false, known);
    EXPECT_TRUE(claim);
    EXPECT_EQ(claim.slot, oldest);
    EXPECT_EQ(kind_of(word(oldest)), SlotKind::busy);
    ring.give_back(oldest);
    EXPECT_EQ(ring.claim(publisher, false, false, known).slot, oldest);  // free by now
    EXPECT_TRUE(ring.claim(publisher, false, false, known));
    EXPECT_TRUE(ring.claim(publisher, false, false, known));
    const auto none = ring.claim(publisher, false, false, known);
    EXPECT_EQ(none.refusal, Ring::Refusal::pinned);
    EXPECT_EQ(word(slot_of(ring.latest())), published_word(5));
}

TEST_F(OneRing, goes_round_a_pinned_frame_and_names_who_pins_when_all_are) {
    publish_many(4);
    (void)ends.take(publisher, layout::kEndPublisher);
    const std::size_t end = ends.take(reader, layout::kEndRefs);
    ASSERT_EQ(ring.take_exactly(end, 1, place), Ring::Exact::frame);
    const std::size_t kept = place.slot;
    publish_many(3);
    EXPECT_EQ(word(kept), published_word(1));
    for (const std::uint64_t seq : {5, 6, 7}) {
        ASSERT_EQ(ring.take_exactly(end, seq, place), Ring::Exact::frame);
    }
    const auto claim = ring.claim(publisher, false, true, known);
    EXPECT_EQ(claim.refusal, Ring::Refusal::pinned);
    EXPECT_EQ(claim.blocker, end);
    // The pins of the dead count no more, and are asked about once.
    ground.dead = {reader};
    const auto had = ring.claim(publisher, false, true, known);
    ASSERT_TRUE(had);
    ring.give_back(had.slot);
    ground.asked = 0;
    ends.announce();  // all ends are looked at anew
    EXPECT_TRUE(ring.claim(publisher, false, false, known));
    EXPECT_EQ(ground.asked, 0);
}

TEST_F(OneRing, names_who_pins_a_slot_without_a_frame) {
    publish_many(4);
    (void)ends.take(publisher, layout::kEndPublisher);
    const std::size_t end = ends.take(reader, layout::kEndRefs);
    for (const std::uint64_t seq : {1, 2, 3}) {
        ASSERT_EQ(ring.take_exactly(end, seq, place), Ring::Exact::frame);
        // As after a claimer's death.
        ground.store_relaxed(control.slot(place.slot).word, std::uint64_t{0});
    }
    const auto claim = ring.claim(publisher, false, true, known);
    EXPECT_EQ(claim.refusal, Ring::Refusal::pinned);
    EXPECT_EQ(claim.blocker, end);
    EXPECT_LT(claim.slot, kSlots);
}

TEST_F(OneRing, asks_the_kernel_once_about_each_end_and_only_when_told) {
    publish_many(4);
    const std::size_t end = ends.take(reader, layout::kEndRefs);
    for (const std::uint64_t seq : {1, 2, 3}) {
        ASSERT_EQ(ring.take_exactly(end, seq, place), Ring::Exact::frame);
    }
    ClaimMemory fresh;
    (void)fresh.is_time_to_ask();
    ground.asked = 0;
    for (int k = 0; k < 40; ++k) EXPECT_FALSE(ring.claim(publisher, false, false, fresh));
    EXPECT_EQ(ground.asked, 0);
    EXPECT_FALSE(ring.claim(publisher, false, true, fresh));
    EXPECT_EQ(ground.asked, 1);
}

TEST_F(OneRing, finds_what_the_dead_left_also_where_slots_are_to_be_had) {
    publish_many(4);
    const std::uint64_t dead = owner_word(5, 0);
    ground.dead = {dead};
    std::size_t slot = 0;
    ASSERT_TRUE(ring.where(1, slot));
    ground.store_relaxed(control.slot(slot).word, owned_word(SlotKind::busy, dead, 1));
    publish_many(17);
    EXPECT_EQ(kind_of(word(slot)), SlotKind::published);
}

TEST_F(OneRing, does_not_wait_for_an_end_that_nobody_has) {
    publish_many(4);
    const std::size_t end = ends.take(reader, layout::kEndInOrder);
    known.add(end, owner_word(6, 0));  // who had it before
    ground.store_relaxed(control.end(end).owner, std::uint64_t{0});
    EXPECT_TRUE(ring.claim(publisher, true, false, known));
}

TEST_F(OneRing, in_block_has_its_free_slots_for_everybody) {
    (void)ends.take(reader, layout::kEndJoining);
    EXPECT_EQ(publish(true), 1U);
}

TEST_F(OneRing, in_block_waits_for_every_reader_in_order) {
    const std::size_t first = ends.take(reader, layout::kEndInOrder);
    const std::size_t second = ends.take(reader, layout::kEndInOrder);
    const std::size_t newest = ends.take(reader, layout::kEndLatest);
    publish_many(4);
    const auto claim = [&] { return ring.claim(publisher, true, true, known); };
    EXPECT_EQ(claim().refusal, Ring::Refusal::unread);
    EXPECT_EQ(claim().blocker, first);
    set_cursor(first, 4);
    EXPECT_EQ(claim().refusal, Ring::Refusal::unread);
    EXPECT_EQ(claim().blocker, second);
    set_cursor(second, 1);
    EXPECT_EQ(publish(true), 5U);
    EXPECT_EQ(claim().refusal, Ring::Refusal::unread);
    ends.let_go(second, reader);
    EXPECT_EQ(publish(true), 6U);
    // One that joins holds everything back, whatever its cursor.
    const std::size_t joining = ends.take(reader, layout::kEndJoining);
    set_cursor(joining, 6);
    EXPECT_EQ(claim().refusal, Ring::Refusal::unread);
    EXPECT_EQ(claim().blocker, joining);
    ends.let_go(joining, reader);
    EXPECT_EQ(publish(true), 7U);
    EXPECT_EQ(publish(true), 8U);
    EXPECT_FALSE(claim());  // 5 is not read
    ground.dead = {reader};
    EXPECT_EQ(publish(true), 9U);
    (void)newest;
}

TEST_F(OneRing, resolves_what_a_dead_publisher_left) {
    publish_many(4);
    const std::uint64_t dead = owner_word(5, 0);
    const auto left = [&](std::size_t slot, std::uint64_t what) {
        ground.store_relaxed(control.slot(slot).word, what);
        ClaimMemory fresh;
        (void)fresh.is_time_to_ask();  // so that the claim asks once, and uses what it finds
        return ring.claim(publisher, false, true, fresh);
    };
    ground.dead = {dead};
    const std::size_t newest = slot_of(ring.latest());
    ground.store_relaxed(control.common().row(row_of(publisher)).epoch, std::uint64_t{3});
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
        const std::uint64_t busy = owned_word(SlotKind::busy, publisher, 0);
        if (slot != newest) ground.store_relaxed(control.slot(slot).word, busy);
    }
    // All others are busy in the hands of the living.
    EXPECT_FALSE(left(newest, published_word(4)));
    const std::size_t other = newest == 0 ? 1 : 0;
    for (const std::uint64_t what : {
             owned_word(SlotKind::busy, dead, 1),
             owned_word(SlotKind::ready, dead, 9),
             owned_word(SlotKind::busy, owner_word(7, 1), 1),  // a former epoch's, of a living row
         }) {
        const auto claim = left(other, what);
        EXPECT_TRUE(claim);
        EXPECT_EQ(claim.slot, other);
    }
    EXPECT_FALSE(left(other, owned_word(SlotKind::busy, owner_word(7, 0), 1)));
    // What was committed stays: as the newest, and as one of the history.
    EXPECT_FALSE(left(newest, owned_word(SlotKind::ready, dead, 4)));
    EXPECT_EQ(word(newest), published_word(4));
    EXPECT_THROW((void)left(other, owned_word(SlotKind::busy, owner_word(248, 0), 1)),
                 CorruptBytes);
}

TEST_F(OneRing, keeps_a_frame_when_the_kernel_cannot_be_asked) {
    (void)ends.take(reader, layout::kEndInOrder);
    publish_many(4);
    std::array<std::uint64_t, kSlots> before{};
    for (std::size_t slot = 0; slot < kSlots; ++slot) before[slot] = word(slot);
    ground.when_asked = [] { throw SystemError(EIO, "fcntl"); };
    EXPECT_THROW((void)ring.claim(publisher, true, true, known), SystemError);
    for (std::size_t slot = 0; slot < kSlots; ++slot) EXPECT_EQ(word(slot), before[slot]);
}

// What happens between a claimer's BUSY and its look.
struct AtBusy : PlainGround {
    std::function<void()> then = [] {};
    bool compare_exchange_seq_cst(auto& word, auto& expected, auto desired) {
        const bool done = PlainGround::compare_exchange_seq_cst(word, expected, desired);
        if (done && kind_of(desired) == SlotKind::busy) std::exchange(then, [] {})();
        return done;
    }
};

TEST_F(OneRing, puts_a_frame_back_when_the_kernel_cannot_be_asked_about_a_newcomer) {
    publish_many(4);
    std::size_t oldest = 0;
    ASSERT_TRUE(ring.where(1, oldest));
    ground.store_relaxed(control.ring(1), std::uint64_t{0});  // it looks at all slots
    ClaimMemory fresh;
    AtBusy interrupted;
    interrupted.then = [&] { (void)ends.take(owner_word(4, 0), layout::kEndJoining); };
    interrupted.when_asked = [] { throw SystemError(EIO, "fcntl"); };
    SlotRing<AtBusy> claimer(control, interrupted);
    EXPECT_THROW((void)claimer.claim(publisher, true, true, fresh), SystemError);
    EXPECT_EQ(interrupted.asked, 1);
    EXPECT_EQ(word(oldest), published_word(1));
}

TEST_F(OneRing, tells_of_room_when_it_puts_a_frame_back) {
    (void)ends.take(reader, layout::kEndRefs);
    publish_many(4);
    std::size_t oldest = 0;
    ASSERT_TRUE(ring.where(1, oldest));
    ClaimMemory fresh;
    AtBusy interrupted;
    interrupted.then = [&] {
        ends.need_room();
        ground.set_bits_seq_cst(control.pins(0, oldest), bit_of(oldest));
    };
    SlotRing<AtBusy> claimer(control, interrupted);
    const auto claim = claimer.claim(publisher, false, false, fresh);
    EXPECT_TRUE(claim);  // 1 was BUSY for a moment
    EXPECT_NE(claim.slot, oldest);
    EXPECT_EQ(word(oldest), published_word(1));
    EXPECT_TRUE(interrupted.woke(&control.words().room));
}

TEST_F(OneRing, with_places_that_are_none_is_corrupt) {
    publish_many(4);
    std::uint64_t cursor = 0;
    ground.store_relaxed(control.ring(2), place_word(2, kSlots));
    std::size_t slot = 0;
    EXPECT_THROW((void)ring.where(2, slot), CorruptBytes);
    ground.store_relaxed(control.words().latest, place_word(5, kSlots));
    EXPECT_THROW((void)ring.take_latest(0, cursor, place), CorruptBytes);
    ground.store_relaxed(control.words().latest, place_word(5, 0));
    EXPECT_THROW((void)ring.take_latest(0, cursor, place), CorruptBytes);
    EXPECT_EQ(pins(0), 0U);
    // Also where what lies behind the slots looks like one.
    auto& behind = control.slot(kSlots).word;
    ground.store_relaxed(behind, published_word(5));
    ground.store_relaxed(control.words().latest, place_word(5, kSlots));
    EXPECT_THROW((void)ring.take_latest(1, cursor, place), CorruptBytes);
    ground.store_relaxed(behind, published_word(2));
    EXPECT_NE(ring.claim(publisher, false, false, known).slot, kSlots);
    EXPECT_EQ(ground.load_relaxed(behind), published_word(2));
}

}  // namespace
}  // namespace ndshare::sync
