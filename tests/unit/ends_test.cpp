// The places of a stream: taken, cleaned, counted, let go, and who is told of it.
#include "sync/ends.h"

#include <gtest/gtest.h>

#include "support/control_memory.h"
#include "support/plain_ground.h"

namespace ndshare::sync {
namespace {

using layout::StreamControl;

using support::PlainGround;

constexpr std::size_t kSlots = 130;  // three words of pins

class EndsOfAStream : public testing::Test {
 protected:
    support::ControlMemory memory{layout::control_bytes_of_stream(kSlots)};
    StreamControl control{memory.base(), kSlots};
    PlainGround peers;
    Ends<PlainGround> ends{control, peers};
    const std::uint64_t me = owner_word(4, 9), other = owner_word(5, 9);
};

TEST_F(EndsOfAStream, are_taken_from_the_lowest_on) {
    EXPECT_EQ(ends.take(me, layout::kEndInOrder), 0U);
    EXPECT_EQ(ends.take(other, layout::kEndLatest), 1U);
    EXPECT_EQ(ends_in_use(control, peers), 2U);
    EXPECT_EQ(peers.load_relaxed(control.end(1).owner), other);
    EXPECT_EQ(peers.load_relaxed(control.end(1).kind), layout::kEndLatest);
    ends.let_go(0, me);
    EXPECT_EQ(ends.take(other, layout::kEndInOrder), 0U);
    EXPECT_EQ(ends_in_use(control, peers), 2U);
}

TEST_F(EndsOfAStream, are_as_many_as_there_are) {
    for (std::size_t k = 0; k < layout::kEndCount; ++k) EXPECT_EQ(ends.take(me, 1), k);
    EXPECT_THROW((void)ends.take(me, 1), Invalid);
    EXPECT_EQ(ends_in_use(control, peers), layout::kEndCount);
}

TEST_F(EndsOfAStream, of_the_dead_and_of_nobody_are_cleaned_and_taken) {
    for (const std::uint64_t former : {other, std::uint64_t{0xffff}}) {
        auto& end = control.end(0);
        peers.dead = {other};
        peers.store_relaxed(end.owner, former);
        peers.store_relaxed(end.cursor, std::uint64_t{7});
        peers.store_relaxed(end.count, std::uint64_t{7});
        peers.store_relaxed(end.flags, 7U);
        for (auto& word : end.pins) peers.store_relaxed(word, std::uint64_t{7});
        EXPECT_EQ(ends.take(me, layout::kEndInOrder), 0U);
        EXPECT_EQ(peers.load_relaxed(end.cursor), 0U);
        EXPECT_EQ(peers.load_relaxed(end.count), 0U);
        EXPECT_EQ(peers.load_relaxed(end.flags), 0U);
        for (std::size_t k = 0; k < 3; ++k) EXPECT_EQ(peers.load_relaxed(end.pins[k]), 0U);
        EXPECT_EQ(peers.load_relaxed(end.pins[3]), 7U);  // not of this stream's slots
    }
}

TEST_F(EndsOfAStream, for_a_child_have_its_parents_pins_and_are_told_of_after_them) {
    const std::size_t parent = ends.take(me, layout::kEndInOrder);
    for (const std::size_t slot : {std::size_t{0}, std::size_t{64}, kSlots - 1}) {
        peers.set_bits_seq_cst(control.pins(parent, slot), std::uint64_t{1} << slot % 64);
    }
    peers.store_relaxed(control.end(parent).pins[3], std::uint64_t{7});  // of no slot
    const std::uint32_t joins = ends.joins();
    const std::size_t child = ends.take_with_pins_of(parent, other);
    EXPECT_NE(child, parent);
    EXPECT_EQ(peers.load_relaxed(control.end(child).owner), other);
    EXPECT_EQ(peers.load_relaxed(control.end(child).kind), layout::kEndIdle);
    for (std::size_t k = 0; k < 3; ++k) {
        const std::uint64_t pins = peers.load_relaxed(control.end(parent).pins[k]);
        EXPECT_NE(pins, 0U);
        EXPECT_EQ(peers.load_relaxed(control.end(child).pins[k]), pins);
    }
    EXPECT_EQ(peers.load_relaxed(control.end(child).pins[3]), 0U);
    EXPECT_EQ(ends.joins(), joins + 2);
}

TEST_F(EndsOfAStream, are_let_go_by_their_owner_alone) {
    const std::size_t end = ends.take(me, layout::kEndInOrder);
    ends.let_go(end, other);
    EXPECT_EQ(peers.load_relaxed(control.end(end).owner), me);
    ends.let_go(end, me);
    EXPECT_EQ(peers.load_relaxed(control.end(end).owner), 0U);
    EXPECT_EQ(peers.load_relaxed(control.end(end).kind), layout::kEndIdle);
}

TEST_F(EndsOfAStream, are_announced_when_they_come_and_go) {
    const auto before = ends.joins();
    const std::size_t end = ends.take(me, layout::kEndInOrder);
    EXPECT_EQ(ends.joins(), before + 1);
    EXPECT_TRUE(peers.woke(&control.words().joins));
    peers.woken.clear();
    ends.let_go(end, me);
    EXPECT_EQ(ends.joins(), before + 2);
    EXPECT_TRUE(peers.woke(&control.words().joins));
}

TEST_F(EndsOfAStream, count_while_their_owners_live) {
    for (const std::uint32_t kind : {layout::kEndInOrder, layout::kEndLatest, layout::kEndLatest,
                                     layout::kEndJoining, layout::kEndPublisher}) {
        (void)ends.take(other, kind);
    }
    (void)ends.take(me, layout::kEndInOrder);
    EXPECT_EQ(ends.count(layout::kEndInOrder), 2U);
    EXPECT_EQ(ends.count(layout::kEndLatest), 2U);
    EXPECT_EQ(ends.count(layout::kEndJoining), 1U);
    EXPECT_EQ(ends.subscriber_count(), 5U);
    peers.dead = {other};
    EXPECT_EQ(ends.subscriber_count(), 1U);
    // Of nobody, and above the mark: those are no ends that count.
    peers.store_relaxed(control.end(5).owner, std::uint64_t{0});
    peers.store_relaxed(control.end(6).owner, me);
    peers.store_relaxed(control.end(6).kind, static_cast<std::uint32_t>(layout::kEndInOrder));
    EXPECT_EQ(ends.subscriber_count(), 0U);
}

TEST_F(EndsOfAStream, are_named_by_a_process_that_has_one) {
    peers.store_relaxed(control.common().row(5).pid, 4711U);
    (void)ends.take(other, layout::kEndWorker);
    std::uint32_t pid = 0;
    EXPECT_EQ(ends.count(layout::kEndWorker, &pid), 1U);
    EXPECT_EQ(pid, 4711U);
}

TEST_F(EndsOfAStream, tell_of_room_when_somebody_waits_for_it) {
    const auto before = ends.room();
    ends.tell_room();
    EXPECT_EQ(ends.room(), before);
    EXPECT_FALSE(peers.woke(&control.words().room));
    ends.need_room();
    ends.announce();
    EXPECT_EQ(ends.room(), before + 1);
    EXPECT_TRUE(peers.woke(&control.words().room));
    peers.woken.clear();
    ends.tell_room();  // told already
    EXPECT_EQ(ends.room(), before + 1);
    EXPECT_TRUE(peers.woken.empty());
}

}  // namespace
}  // namespace ndshare::sync
