// One call's way through the pool, step by step: what each step changes, counts and tells whom.
#include "sync/request_pool.h"

#include <gtest/gtest.h>

#include "support/control_memory.h"
#include "support/plain_ground.h"

namespace ndshare::sync {
namespace {

using support::PlainGround;

constexpr std::size_t kSlots = 3;

class OneCall : public testing::Test {
 protected:
    support::ControlMemory memory{layout::control_bytes_of_service(kSlots)};
    layout::ServiceControl control{memory.base(), kSlots};
    PlainGround ground;
    RequestPool<PlainGround> pool{control, ground};
    Ends<PlainGround, layout::ServiceControl> ends{control, ground};
    const std::uint64_t client = owner_word(1, 0), worker = owner_word(2, 0);
    std::vector<WaitingCall> calls;

    Held submitted(const Submission& call = {.order = 5, .submitted_ns = 50}) {
        Held held = pool.claim(client).value();
        held.word = pool.submit(client, held, call);
        return held;
    }
    Held taken(std::uint64_t now_ns = 0) {
        pool.find_waiting(now_ns, calls);
        pool.take(worker, calls, false);
        return {calls.at(0).slot, calls.at(0).word};
    }
    RequestKind kind(std::size_t slot) const { return request_kind(pool.look(slot)); }
    std::uint64_t count(const layout::Word64& word) const { return ground.load_relaxed(word); }
    // Whether the last steps told one who waits for a slot.
    bool told_room() {
        const bool told = ground.woke(&control.words().room);
        ends.need_room();
        return told;
    }
    bool told_workers() {
        const bool told = ground.woke(&control.service().requests);
        pool.need_worker();
        return told;
    }
    void SetUp() override {
        (void)told_room();
        (void)told_workers();
    }
};

TEST_F(OneCall, is_submitted_with_all_that_it_says) {
    ground.store_relaxed(control.line(0).error_bytes, 7U);
    const auto before = pool.requests();
    const Held held = submitted({.order = 1,
                                 .deadline_ns = 2,
                                 .submitted_ns = 3,
                                 .shape_key = 4,
                                 .end = 5,
                                 .priority = -6});
    EXPECT_EQ(kind(held.slot), RequestKind::queued);
    EXPECT_EQ(pool.look(held.slot), held.word);
    EXPECT_EQ(ground.load_relaxed(control.line(0).client), client);
    EXPECT_EQ(ground.load_relaxed(control.line(0).end), 5U);
    EXPECT_EQ(ground.load_relaxed(control.line(0).error_bytes), 0U);
    // Once for the call, once for the worker that has said that it sleeps.
    EXPECT_EQ(pool.requests(), before + 2);
    EXPECT_TRUE(told_workers());
    pool.find_waiting(1, calls);
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_EQ(calls[0].order, 1U);
    EXPECT_EQ(calls[0].deadline_ns, 2U);
    EXPECT_EQ(calls[0].submitted_ns, 3U);
    EXPECT_EQ(calls[0].shape_key, 4U);
    EXPECT_EQ(calls[0].priority, -6);
    pool.find_waiting(1, calls);
    EXPECT_EQ(calls.size(), 1U);
}

TEST_F(OneCall, wakes_no_worker_where_none_sleeps) {
    ground.store_relaxed(control.service().need_worker, 0U);
    const auto before = pool.requests();
    (void)submitted();
    EXPECT_EQ(pool.requests(), before + 1);
    EXPECT_TRUE(ground.woken.empty());
    pool.need_worker();
    pool.tell_another_worker();
    EXPECT_TRUE(told_workers());
}

TEST_F(OneCall, takes_the_flag_of_the_worker_that_it_wakes) {
    (void)submitted();
    EXPECT_TRUE(ground.woke(&control.service().requests));
    (void)submitted();
    EXPECT_FALSE(ground.woke(&control.service().requests));
}

TEST_F(OneCall, has_a_ticket_that_no_former_one_had) {
    const Held first = pool.claim(client).value();
    EXPECT_EQ(first.slot, 0U);
    pool.give_back(first);
    EXPECT_TRUE(told_room());
    EXPECT_EQ(kind(0), RequestKind::free);
    const Held second = pool.claim(client).value();
    EXPECT_EQ(second.slot, 0U);
    EXPECT_EQ(ticket_of(second.word), ticket_of(first.word) + 1);
    EXPECT_EQ(request_row(second.word), row_of(client));
}

TEST_F(OneCall, finds_no_slot_when_all_are_used) {
    for (std::size_t k = 0; k < kSlots; ++k) EXPECT_TRUE(pool.claim(client));
    EXPECT_FALSE(pool.claim(client));
}

TEST_F(OneCall, is_answered_and_collected) {
    const Held call = submitted();
    EXPECT_EQ(pool.announce_sleep(call), static_cast<std::uint32_t>(call.word | kRequestSleeper));
    EXPECT_EQ(pool.announce_sleep(call), static_cast<std::uint32_t>(call.word | kRequestSleeper));
    const Held held = taken();
    EXPECT_EQ(kind(call.slot), RequestKind::running);
    EXPECT_NE(pool.look(call.slot) & kRequestSleeper, 0U);
    EXPECT_EQ(count(control.service().time), 5U);
    pool.collect(call);  // too early
    EXPECT_EQ(kind(call.slot), RequestKind::running);
    (void)told_room();
    EXPECT_TRUE(pool.finish(held, RequestKind::answered));
    EXPECT_EQ(count(control.service().late), 0U);
    EXPECT_TRUE(ground.woke(&control.state(call.slot)));
    EXPECT_TRUE(told_room());
    EXPECT_EQ(pool.announce_sleep(call), std::nullopt);
    EXPECT_FALSE(pool.abandon(call));
    pool.collect({call.slot, call.word + (std::uint64_t{1} << kTicketShift)});  // another's
    EXPECT_EQ(kind(call.slot), RequestKind::answered);
    pool.collect(call);
    EXPECT_EQ(kind(call.slot), RequestKind::free);
    EXPECT_TRUE(told_room());
    EXPECT_TRUE(pool.abandon({call.slot, call.word + (std::uint64_t{1} << kTicketShift)}));
    EXPECT_EQ(pool.announce_sleep({call.slot, call.word + (std::uint64_t{1} << kTicketShift)}),
              std::nullopt);
}

TEST_F(OneCall, whose_client_does_not_sleep_wakes_nobody) {
    (void)submitted();
    const Held held = taken();
    ground.woken.clear();
    EXPECT_TRUE(pool.finish(held, RequestKind::failed));
    EXPECT_FALSE(ground.woke(&control.state(held.slot)));
    EXPECT_EQ(kind(held.slot), RequestKind::failed);
}

TEST_F(OneCall, is_abandoned_before_a_worker_has_it) {
    const Held call = submitted();
    EXPECT_TRUE(pool.abandon(call));
    EXPECT_EQ(kind(call.slot), RequestKind::free);
    EXPECT_EQ(count(control.service().abandoned), 1U);
    EXPECT_TRUE(told_room());
}

TEST_F(OneCall, that_is_abandoned_once_more_leaves_the_next_one_alone) {
    const Held former = submitted();
    EXPECT_TRUE(pool.abandon(former));
    const Held call = submitted();
    EXPECT_EQ(call.slot, former.slot);
    EXPECT_TRUE(pool.abandon(former));
    EXPECT_EQ(pool.look(call.slot), call.word);
}

TEST_F(OneCall, is_abandoned_while_a_worker_has_it) {
    const Held call = submitted();
    (void)pool.announce_sleep(call);
    const Held held = taken();
    EXPECT_TRUE(pool.abandon(call));
    EXPECT_EQ(kind(call.slot), RequestKind::running);
    EXPECT_EQ(count(control.service().abandoned), 0U);
    EXPECT_FALSE(told_room());
    EXPECT_FALSE(pool.finish(held, RequestKind::answered));
    EXPECT_EQ(count(control.service().late), 1U);
    EXPECT_EQ(kind(call.slot), RequestKind::free);
    EXPECT_FALSE(ground.woke(&control.state(call.slot)));
    EXPECT_TRUE(told_room());
}

TEST_F(OneCall, that_is_anothers_is_not_answered) {
    (void)submitted();
    Held held = taken();
    held.word += std::uint64_t{1} << kTicketShift;
    EXPECT_THROW((void)pool.finish(held, RequestKind::answered), CorruptBytes);
    EXPECT_THROW(pool.redeliver(held), CorruptBytes);
}

TEST_F(OneCall, expires_at_its_deadline) {
    const Held call = submitted({.order = 1, .deadline_ns = 100});
    (void)pool.announce_sleep(call);
    pool.find_waiting(99, calls);
    EXPECT_EQ(calls.size(), 1U);
    pool.find_waiting(100, calls);
    EXPECT_TRUE(calls.empty());
    EXPECT_EQ(kind(call.slot), RequestKind::expired);
    EXPECT_EQ(count(control.service().expired), 1U);
    EXPECT_TRUE(ground.woke(&control.state(call.slot)));
    EXPECT_TRUE(told_room());
    const Held patient = submitted({.order = 1, .deadline_ns = 0});
    pool.find_waiting(~std::uint64_t{0}, calls);
    EXPECT_EQ(calls.size(), 1U);
    EXPECT_EQ(kind(patient.slot), RequestKind::queued);
    (void)pool.abandon(patient);
    const Held awake = submitted({.order = 1, .deadline_ns = 100});
    pool.find_waiting(100, calls);
    EXPECT_FALSE(ground.woke(&control.state(awake.slot)));
}

TEST_F(OneCall, goes_to_another_worker_as_often_as_is_allowed) {
    ground.store_relaxed(control.service().retries, 2U);
    const Held call = submitted();
    (void)pool.announce_sleep(call);
    for (std::uint64_t tries = 1; tries <= 2; ++tries) {
        const Held held = taken();
        (void)told_workers();
        pool.redeliver(held);
        EXPECT_EQ(kind(call.slot), RequestKind::queued);
        EXPECT_EQ(tries_of(pool.look(call.slot)), tries);
        EXPECT_NE(pool.look(call.slot) & kRequestSleeper, 0U);
        EXPECT_EQ(count(control.service().redelivered), tries);
        EXPECT_TRUE(told_workers());
        EXPECT_FALSE(ground.woke(&control.state(call.slot)));
        EXPECT_FALSE(told_room());
    }
    pool.redeliver(taken());
    EXPECT_EQ(kind(call.slot), RequestKind::died);
    EXPECT_EQ(count(control.service().died), 1U);
    EXPECT_EQ(count(control.service().redelivered), 2U);
    EXPECT_TRUE(ground.woke(&control.state(call.slot)));
    EXPECT_FALSE(told_workers());
    EXPECT_TRUE(told_room());
}

TEST_F(OneCall, that_nobody_waits_for_goes_to_no_other_worker) {
    ground.store_relaxed(control.service().retries, 2U);
    const Held call = submitted();
    const Held held = taken();
    (void)pool.abandon(call);
    (void)told_workers();
    pool.redeliver(held);
    EXPECT_EQ(kind(call.slot), RequestKind::free);
    EXPECT_EQ(count(control.service().redelivered), 0U);
    EXPECT_FALSE(told_workers());
    EXPECT_TRUE(told_room());
}

TEST_F(OneCall, of_which_the_client_slept_meanwhile_is_given_up_all_the_same) {
    const Held call = submitted();
    const Held held = taken();
    (void)pool.announce_sleep(call);
    pool.redeliver(held);  // no retries
    EXPECT_EQ(kind(call.slot), RequestKind::died);
    EXPECT_TRUE(ground.woke(&control.state(call.slot)));
    const Held awake = submitted();
    pool.redeliver(taken());
    EXPECT_EQ(kind(awake.slot), RequestKind::died);
    EXPECT_FALSE(ground.woke(&control.state(awake.slot)));
}

TEST_F(OneCall, is_settled_when_its_client_is_dead) {
    (void)pool.claim(client);
    (void)submitted();
    const Held over = submitted();
    pool.find_waiting(0, calls);
    std::erase_if(calls, [&](const WaitingCall& c) { return c.slot != over.slot; });
    pool.take(worker, calls, false);
    (void)pool.finish({over.slot, calls.at(0).word}, RequestKind::answered);
    (void)told_room();
    pool.settle_all();
    EXPECT_EQ(kind(0), RequestKind::filling);
    EXPECT_EQ(kind(1), RequestKind::queued);
    EXPECT_EQ(kind(2), RequestKind::answered);
    EXPECT_FALSE(told_room());
    ground.dead = {client};
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
        pool.settle(slot);
        EXPECT_EQ(kind(slot), RequestKind::free) << slot;
        EXPECT_TRUE(told_room()) << slot;
    }
}

TEST_F(OneCall, is_settled_when_its_worker_is_dead) {
    ground.store_relaxed(control.service().retries, 2U);
    const Held call = submitted();
    (void)taken();
    pool.settle_all();
    EXPECT_EQ(kind(call.slot), RequestKind::running);
    ground.dead = {worker};
    pool.settle_all();
    EXPECT_EQ(kind(call.slot), RequestKind::queued);
    // Its client dead too, or gone: nobody waits.
    ground.dead = {worker, client};
    (void)taken();
    pool.settle(call.slot);
    EXPECT_EQ(kind(call.slot), RequestKind::free);
    ground.dead = {worker};
    const Held given_up = submitted();
    (void)taken();
    (void)pool.abandon(given_up);
    pool.settle(given_up.slot);
    EXPECT_EQ(kind(given_up.slot), RequestKind::free);
    EXPECT_EQ(count(control.service().redelivered), 1U);
}

TEST_F(OneCall, in_the_hands_of_a_row_that_is_none_or_was_taken_again_is_settled) {
    const auto put = [&](std::uint64_t owner) {
        ground.store_relaxed(control.state(0), request_with(0, RequestKind::filling, owner));
        pool.settle(0);
        return kind(0);
    };
    EXPECT_EQ(put(owner_word(layout::kRowCount, 0)), RequestKind::free);
    EXPECT_EQ(put(owner_word(layout::kRowCount - 1, 0)), RequestKind::filling);
    EXPECT_EQ(put(owner_word(3, 1)), RequestKind::free);
    EXPECT_EQ(put(owner_word(3, 0)), RequestKind::filling);
}

TEST_F(OneCall, of_a_client_that_is_no_row_is_settled) {
    const Held call = submitted();
    ground.store_relaxed(control.line(call.slot).client, std::uint64_t{0});
    pool.settle(call.slot);
    EXPECT_EQ(kind(call.slot), RequestKind::free);
}

TEST_F(OneCall, has_a_tag_after_its_clients_former_one_and_the_services_time) {
    EXPECT_EQ(pool.next_order(7), 8U);
    ground.store_relaxed(control.service().time, std::uint64_t{20});
    EXPECT_EQ(pool.next_order(7), 20U);
    EXPECT_EQ(pool.next_order(20), 21U);
    (void)submitted({.order = 19});
    (void)taken();  // an older tag does not set the time back
    EXPECT_EQ(count(control.service().time), 20U);
}

// Eight states fill their line: the word behind them is another one.
TEST(CallsOfAFullLine, are_looked_at_and_nothing_behind_them) {
    support::ControlMemory memory{layout::control_bytes_of_service(8)};
    layout::ServiceControl control{memory.base(), 8};
    PlainGround ground;
    RequestPool<PlainGround> pool{control, ground};
    std::vector<WaitingCall> calls;
    auto& behind = *(&control.state(7) + 1);
    ground.store_relaxed(behind, request_in(0, RequestKind::queued));
    pool.find_waiting(1, calls);
    EXPECT_TRUE(calls.empty());
    const std::uint64_t of_nobody = request_with(0, RequestKind::filling, owner_word(3, 1));
    ground.store_relaxed(behind, of_nobody);
    pool.settle_all();
    EXPECT_EQ(ground.load_relaxed(behind), of_nobody);
}

TEST_F(OneCall, that_is_left_is_told_to_the_next_worker) {
    (void)submitted();
    pool.find_waiting(0, calls);
    (void)told_workers();
    pool.take(worker, calls, true);
    EXPECT_TRUE(told_workers());
    calls.clear();
    pool.take(worker, calls, false);
    EXPECT_FALSE(told_workers());
}

TEST_F(OneCall, that_another_worker_took_is_thrown_out) {
    const Held call = submitted();
    pool.find_waiting(0, calls);
    auto also = calls;
    pool.take(worker, calls, false);
    EXPECT_EQ(calls.size(), 1U);
    pool.take(owner_word(3, 0), also, false);
    EXPECT_TRUE(also.empty());
    EXPECT_EQ(request_row(pool.look(call.slot)), row_of(worker));
}

}  // namespace
}  // namespace ndshare::sync
