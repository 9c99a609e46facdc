// Which frames are needed by nobody, as a claimer finds out and remembers it. Four slots have 1 to
// 4; the first claim looks at all ends, and says up to which frame the next ones need not.
#include "sync/needs.h"

#include <gtest/gtest.h>

#include "support/one_ring.h"

namespace ndshare::sync {
namespace {

using support::kSlots;
using support::OneRing;
using support::PlainGround;
using support::Ring;

class NeedsOfARing : public OneRing {
 protected:
    void SetUp() override { publish_many(4); }
    std::size_t slot_of_frame(std::uint64_t seq) const {
        std::size_t slot = kSlots;
        EXPECT_TRUE(ring.where(seq, slot));
        return slot;
    }
    void pin(std::size_t end, std::uint64_t seq) {
        ground.set_bits_seq_cst(control.pins(end, slot_of_frame(seq)), bit_of(slot_of_frame(seq)));
    }
    // After a look for frame 1: up to which one is it known that nobody needs any? 0: of none.
    std::uint64_t known_after_a_look(bool block = false) {
        ClaimMemory fresh;
        Asked soft(fresh, false);
        Claim claim{slot_of_frame(1)};
        const Needs<PlainGround> needs(control, ground);
        EXPECT_FALSE(needs.is_needed(published_word(1), block, soft, claim));
        std::uint64_t up_to = 0;
        while (fresh.is_unneeded(up_to + 1, ends.joins()) && up_to < 100) ++up_to;
        return up_to;
    }
};

TEST_F(NeedsOfARing, are_none_when_nobody_takes_part_or_publishers_alone_do) {
    EXPECT_EQ(known_after_a_look(), 4U);
    (void)ends.take(publisher, layout::kEndPublisher);
    EXPECT_EQ(known_after_a_look(), 4U);
    EXPECT_EQ(known_after_a_look(true), 4U);
}

TEST_F(NeedsOfARing, begin_behind_the_slowest_cursor) {
    const std::size_t first = ends.take(reader, layout::kEndInOrder);
    const std::size_t second = ends.take(reader, layout::kEndLatest);
    set_cursor(first, 3);
    set_cursor(second, 2);
    EXPECT_EQ(known_after_a_look(), 2U);
    EXPECT_EQ(known_after_a_look(true), 2U);
    set_cursor(second, 9);
    EXPECT_EQ(known_after_a_look(), 3U);
    set_cursor(first, 9);
    EXPECT_EQ(known_after_a_look(), 4U);
    // Frame 1 itself may be had, as nobody holds it; of those that follow nothing is known.
    set_cursor(first, 0);
    EXPECT_EQ(known_after_a_look(), 0U);
    set_cursor(first, 1);
    EXPECT_EQ(known_after_a_look(), 1U);
}

TEST_F(NeedsOfARing, begin_with_the_oldest_pinned_frame) {
    const std::size_t end = ends.take(reader, layout::kEndInOrder);
    set_cursor(end, 4);
    pin(end, 4);
    EXPECT_EQ(known_after_a_look(), 3U);
    pin(end, 3);
    EXPECT_EQ(known_after_a_look(), 2U);
    ground.store_seq_cst(control.end(end).kind, static_cast<std::uint32_t>(layout::kEndIdle));
    EXPECT_EQ(known_after_a_look(), 2U);
    // Busy: whoever is about to take it may have to put it back.
    const std::size_t slot = slot_of_frame(3);
    ground.store_seq_cst(control.slot(slot).word, owned_word(SlotKind::busy, publisher, 3));
    EXPECT_EQ(known_after_a_look(), 2U);
    // A slot without a frame: nobody holds one there that is to be had.
    ground.store_seq_cst(control.slot(slot).word, std::uint64_t{0});
    EXPECT_EQ(known_after_a_look(), 3U);
}

TEST_F(NeedsOfARing, are_not_known_of_those_who_may_want_any_frame) {
    for (const std::uint32_t kind :
         {std::uint32_t{layout::kEndRefs}, std::uint32_t{layout::kEndJoining}, std::uint32_t{99}}) {
        const std::size_t end = ends.take(reader, kind);
        set_cursor(end, 9);
        EXPECT_EQ(known_after_a_look(), 0U) << kind;
        ends.let_go(end, reader);
        EXPECT_EQ(known_after_a_look(), 4U) << kind;
    }
}

TEST_F(NeedsOfARing, are_not_known_of_pins_on_slots_that_are_none) {
    // What lies behind the slots, the first end's owner, looks like a slot without a frame.
    const std::size_t end = ends.take(owner_word(3, 0), layout::kEndInOrder);
    ASSERT_EQ(kind_of(word(kSlots)), SlotKind::free);
    set_cursor(end, 4);
    EXPECT_EQ(known_after_a_look(), 4U);
    ground.set_bits_seq_cst(control.pins(end, 0), bit_of(kSlots));
    EXPECT_EQ(known_after_a_look(), 0U);
}

TEST_F(NeedsOfARing, of_the_dead_count_for_nothing_once_they_are_known) {
    const std::size_t end = ends.take(reader, layout::kEndInOrder);
    ClaimMemory fresh;
    fresh.add(end, reader);
    Asked soft(fresh, false);
    Claim claim{slot_of_frame(1)};
    EXPECT_FALSE(
        Needs<PlainGround>(control, ground).is_needed(published_word(1), true, soft, claim));
    EXPECT_TRUE(fresh.is_unneeded(4, ends.joins()));
    EXPECT_FALSE(fresh.is_unneeded(5, ends.joins()));
}

TEST_F(NeedsOfARing, are_remembered_by_its_publisher_while_nobody_joins) {
    const std::size_t end = ends.take(reader, layout::kEndInOrder);
    for (const bool block : {false, true}) {
        const std::uint64_t oldest = ring.last_seq() - 3;
        set_cursor(end, oldest + 2);
        ends.announce();
        EXPECT_EQ(publish(block), oldest + 4);
        EXPECT_TRUE(known.is_unneeded(oldest + 2, ends.joins()));
        EXPECT_FALSE(known.is_unneeded(oldest + 3, ends.joins()));
        // It is believed: these two are never looked at.
        set_cursor(end, 0);
        pin(end, oldest + 1);
        EXPECT_EQ(publish(block), oldest + 5);
        ground.clear_bits_seq_cst(control.pins(end, 0), ~std::uint64_t{0});
    }
    // What comes back announces itself.
    pin(end, ring.last_seq() - 3);
    ends.announce();
    EXPECT_FALSE(ring.claim(publisher, true, false, known));
}

TEST_F(NeedsOfARing, of_free_slots_are_looked_at_each_time) {
    const std::size_t slot = slot_of_frame(1);
    const std::size_t end = ends.take(reader, layout::kEndIdle);
    ground.store_seq_cst(control.slot(slot).word, std::uint64_t{0});
    known.note_unneeded(4, ends.joins());
    pin(end, 2);
    ground.set_bits_seq_cst(control.pins(end, slot), bit_of(slot));
    const Claim claim = ring.claim(publisher, false, false, known);
    ASSERT_TRUE(claim);
    EXPECT_NE(claim.slot, slot);
}

// A ground on which somebody joins during a look.
struct Restless : PlainGround {
    layout::StreamControl control;
    int joins_left = 0;
    auto load_seq_cst(const auto& word) const {
        auto& self = const_cast<Restless&>(*this);
        if (static_cast<const void*>(&word) == &control.end(0).kind && self.joins_left > 0) {
            --self.joins_left;
            self.add_seq_cst(control.words().joins, std::uint32_t{1});
        }
        return PlainGround::load_seq_cst(word);
    }
};
TEST_F(NeedsOfARing, are_looked_at_again_when_somebody_joined_meanwhile) {
    set_cursor(ends.take(reader, layout::kEndInOrder), 4);
    for (const int joins : {1, 3, 4}) {
        Restless restless;
        restless.control = control;
        restless.joins_left = joins;
        ClaimMemory fresh;
        Asked soft(fresh, false);
        Claim claim{slot_of_frame(1)};
        const bool is_needed =
            Needs<Restless>(control, restless).is_needed(published_word(1), true, soft, claim);
        EXPECT_EQ(is_needed, joins == 4);  // so restless that nothing can be said
        EXPECT_EQ(claim.refusal, joins == 4 ? Refusal::pinned : Refusal::none);
        EXPECT_EQ(fresh.is_unneeded(4, ends.joins()), joins != 4);
        EXPECT_EQ(restless.joins_left, 0);
    }
}

// Pins have a word for 64 slots.
class NeedsOfALargeRing : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Slots, NeedsOfALargeRing, testing::Values(64, 128, 130));
TEST_P(NeedsOfALargeRing, are_found_in_every_word_of_pins_and_behind_none) {
    const std::size_t slots = GetParam();
    support::ControlMemory memory(layout::control_bytes_of_stream(slots));
    const layout::StreamControl control(memory.base(), slots);
    PlainGround ground;
    SlotRing<PlainGround> ring(control, ground);
    Ends<PlainGround> ends(control, ground);
    ClaimMemory known;
    const std::uint64_t publisher = owner_word(1, 3);
    const auto publish = [&] {
        const Claim claim = ring.claim(publisher, false, false, known);
        return claim ? ring.publish(publisher, claim.slot) : std::nullopt;
    };
    for (std::size_t k = 0; k < slots; ++k) ASSERT_TRUE(publish());
    const std::size_t end = ends.take(owner_word(2, 0), layout::kEndInOrder);
    ground.store_seq_cst(control.end(end).cursor, std::uint64_t{1000});
    ground.store_relaxed(control.end(end).pins[(slots + 63) / 64], ~std::uint64_t{0});
    ASSERT_TRUE(publish());
    EXPECT_TRUE(known.is_unneeded(slots, ends.joins()));
    for (auto number = static_cast<std::int64_t>(slots) - 1; number > 2; number -= 31) {
        const auto held = static_cast<std::uint64_t>(number);
        std::size_t slot = 0;
        ASSERT_TRUE(ring.where(held, slot));
        ground.set_bits_seq_cst(control.pins(end, slot), bit_of(slot));
        ends.announce();
        const Claim claim = ring.claim(publisher, false, false, known);
        ASSERT_TRUE(claim);
        EXPECT_TRUE(known.is_unneeded(held - 1, ends.joins()));
        EXPECT_FALSE(known.is_unneeded(held, ends.joins()));
        ground.store_seq_cst(control.slot(claim.slot).word, published_word(2));
    }
}

}  // namespace
}  // namespace ndshare::sync
