// Which of the waiting calls go together.
#include "sync/batch_choice.h"

#include <gtest/gtest.h>

#include "sync/request_words.h"

namespace ndshare::sync {
namespace {

using Slots = std::vector<std::size_t>;

// Calls in these slots, the earlier ones first in turn.
std::vector<WaitingCall> waiting(const Slots& slots) {
    std::vector<WaitingCall> calls;
    for (std::size_t k = 0; k < slots.size(); ++k) {
        calls.push_back({.slot = slots[k], .order = 10 + k, .submitted_ns = 100 + k});
    }
    return calls;
}
Slots chosen(std::vector<WaitingCall> calls, std::size_t size_max) {
    choose_batch(calls, size_max);
    Slots slots;
    for (const auto& call : calls) slots.push_back(call.slot);
    return slots;
}

TEST(BatchChoice, one_alone_is_the_first_in_turn) {
    EXPECT_EQ(chosen(waiting({5, 2, 9}), 1), Slots({5}));
    EXPECT_EQ(chosen({}, 4), Slots({}));
}
TEST(BatchChoice, all_go_when_they_fit_sorted_by_slot) {
    EXPECT_EQ(chosen(waiting({5, 2, 9}), 4), Slots({2, 5, 9}));
}
TEST(BatchChoice, neighbours_of_the_first_are_preferred) {
    EXPECT_EQ(chosen(waiting({5, 9, 4, 6, 0}), 3), Slots({4, 5, 6}));
    EXPECT_EQ(chosen(waiting({0, 7, 1, 2, 3}), 3), Slots({0, 1, 2}));
    EXPECT_EQ(chosen(waiting({3, 7, 2, 1, 0}), 2), Slots({2, 3}));
    // The earlier neighbours first, as many as there are.
    EXPECT_EQ(chosen(waiting({1, 3, 0, 2}), 3), Slots({0, 1, 2}));
    EXPECT_EQ(chosen(waiting({3, 0, 1, 2, 4, 5}), 3), Slots({1, 2, 3}));
}
TEST(BatchChoice, without_enough_neighbours_the_oldest_go) {
    EXPECT_EQ(chosen(waiting({8, 2, 5, 0}), 3), Slots({2, 5, 8}));
    EXPECT_EQ(chosen(waiting({8, 0, 5}), 2), Slots({0, 8}));
}
TEST(BatchChoice, other_shapes_stay) {
    auto calls = waiting({1, 2, 3, 4});
    calls[1].shape_key = 7;
    EXPECT_EQ(chosen(calls, 8), Slots({1, 3, 4}));
    calls[0].order = 99;  // now the other shape is first in turn
    EXPECT_EQ(chosen(calls, 8), Slots({2}));
}
TEST(BatchChoice, a_greater_priority_goes_first_whatever_the_tags) {
    auto calls = waiting({5, 2, 9});
    calls[2].priority = 1;
    EXPECT_EQ(chosen(calls, 1), Slots({9}));
    calls[0].priority = -1;
    EXPECT_EQ(chosen(calls, 2), Slots({2, 9}));
}
TEST(BatchChoice, neighbours_do_not_push_out_a_greater_priority) {
    auto calls = waiting({4, 5, 6, 9});
    for (const std::size_t k : {0, 3}) calls[k].priority = 7;
    EXPECT_EQ(chosen(calls, 2), Slots({4, 9}));
    EXPECT_EQ(chosen(calls, 3), Slots({4, 5, 9}));
}
TEST(BatchChoice, among_equals_of_the_greatest_priority_neighbours_are_preferred) {
    auto calls = waiting({5, 9, 4, 6, 0});
    for (const std::size_t k : {0, 1, 2, 3}) calls[k].priority = 3;
    EXPECT_EQ(chosen(calls, 3), Slots({4, 5, 6}));
}
TEST(BatchChoice, a_lesser_priority_between_or_behind_them_is_no_neighbour) {
    auto calls = waiting({3, 0, 2, 1});
    for (const std::size_t k : {0, 1, 2}) calls[k].priority = 5;
    EXPECT_EQ(chosen(calls, 2), Slots({2, 3}));
    calls = waiting({20, 5, 4, 21});
    for (const std::size_t k : {0, 1, 2}) calls[k].priority = 7;
    EXPECT_EQ(chosen(calls, 2), Slots({5, 20}));
}
TEST(BatchChoice, calls_behind_a_gap_are_no_neighbours) {
    EXPECT_EQ(chosen(waiting({0, 5, 6, 1}), 3), Slots({0, 5, 6}));
}
TEST(BatchChoice, neighbours_lie_in_one_piece) {
    EXPECT_TRUE(are_neighbours({}, 0));
    EXPECT_TRUE(are_neighbours(waiting({7}), 1));
    EXPECT_TRUE(are_neighbours(waiting({3, 4, 5, 9}), 3));
    EXPECT_FALSE(are_neighbours(waiting({3, 4, 5, 9}), 4));
    EXPECT_FALSE(are_neighbours(waiting({3, 5}), 2));
}
TEST(BatchChoice, of_calls_that_are_equal_the_lowest_slot_goes_first) {
    auto calls = waiting({4, 2, 3});
    for (auto& call : calls) call.order = call.submitted_ns = 5;
    EXPECT_EQ(chosen(calls, 1), Slots({2}));
}
TEST(BatchChoice, of_equal_tags_the_earlier_submission_goes_first) {
    auto calls = waiting({1, 2});
    calls[0].order = calls[1].order = 5;
    calls[0].submitted_ns = 20;
    calls[1].submitted_ns = 10;
    EXPECT_EQ(chosen(calls, 1), Slots({2}));
}

TEST(RequestWords, a_word_keeps_its_parts_apart) {
    const std::uint64_t owner = owner_word(247, 0xabcdef);
    const std::uint64_t ticket = std::uint64_t{0xfffffffe} << kTicketShift;
    const std::uint64_t running =
        request_with(ticket | std::uint64_t{3} << kTriesShift, RequestKind::running, owner);
    EXPECT_EQ(request_kind(running), RequestKind::running);
    EXPECT_EQ(request_row(running), 247U);
    EXPECT_EQ(request_epoch(running), 0xdefU);
    EXPECT_EQ(tries_of(running), 3U);
    EXPECT_EQ(ticket_of(running), 0xfffffffeU);
    EXPECT_TRUE(same_hands(running, running | kRequestSleeper | kRequestAbandoned));
    EXPECT_FALSE(same_hands(running, request_with(running, RequestKind::queued, owner)));
    const std::uint64_t answered = request_in(running | kRequestSleeper, RequestKind::answered);
    EXPECT_TRUE(is_over(answered));
    EXPECT_FALSE(is_over(running));
    EXPECT_EQ(answered & kRequestSleeper, 0U);
    EXPECT_EQ(ticket_of(answered), ticket_of(running));
}

}  // namespace
}  // namespace ndshare::sync
