// Small services, every interleaving up to the stated preemptions: a worker killed, a client
// killed, a call given up or too late, each at every step; the slots come back.
#include <cstdio>

#include "schedule/explore.h"
#include "schedule/service_model.h"

namespace ndshare::schedule {
namespace {

testing::AssertionResult holds_always(const Plan& plan, int preemptions_max, const Setup& setup) {
    const Found found = explore_exhaustively(plan, preemptions_max, setup);
    if (!found.any) std::printf("             %s\n", found.text.c_str());
    return holds(found);
}

TEST(RequestPoolExhaustive, two_clients_one_slot_one_worker) {
    const Plan plan{.slices = Slices::never};
    EXPECT_TRUE(
        holds_always(plan, 2, service<SimGround>({.slots = 1, .calls = 1, .by_share = true})));
}
TEST(RequestPoolExhaustive, two_workers_have_each_call_once) {
    const Plan plan{.slices = Slices::never};
    EXPECT_TRUE(
        holds_always(plan, 1,
                     service<SimGround>(
                         {.slots = 2, .workers = 2, .clients = 2, .calls = 1, .by_share = true})));
}
TEST(RequestPoolExhaustive, a_worker_killed_anywhere) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(
        holds_always(plan, 1, service<SimGround>({.slots = 1, .clients = 1, .worker_lives = 2})));
    EXPECT_TRUE(
        holds_always(plan, 1,
                     service<SimGround>(
                         {.slots = 1, .clients = 1, .calls = 1, .retries = 0, .worker_lives = 2})));
}
// The survivor gets the slot of the killed one, and at the end it is free.
TEST(RequestPoolExhaustive, a_client_killed_anywhere) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(holds_always(
        plan, 1,
        service<SimGround>({.slots = 1, .calls = 1, .survivors = 1, .workers_survive = true})));
    EXPECT_TRUE(holds_always(
        plan, 1,
        service<SimGround>(
            {.slots = 1, .clients = 1, .calls = 1, .client_lives = 2, .workers_survive = true})));
}
TEST(RequestPoolExhaustive, a_call_given_up_or_too_late_anywhere) {
    const Plan plan{.slices = Slices::when_idle};
    EXPECT_TRUE(holds_always(plan, 2,
                             service<SimGround>({.slots = 1,
                                                 .clients = 1,
                                                 .workers_survive = true,
                                                 .gives_up = true,
                                                 .too_late = true})));
}
TEST(RequestPoolExhaustive, a_client_that_gives_up_killed_anywhere) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(holds_always(
        plan, 1,
        service<SimGround>(
            {.slots = 1, .calls = 1, .survivors = 1, .workers_survive = true, .gives_up = true})));
}
TEST(RequestPoolExhaustive, a_worker_killed_anywhere_with_a_call_that_is_given_up) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(holds_always(
        plan, 1,
        service<SimGround>(
            {.slots = 1, .clients = 1, .worker_lives = 2, .survivors = 1, .gives_up = true})));
}

// ---- canaries -----------------------------------------------------------------------------------

TEST(RequestPoolExhaustiveCanary, taking_the_living_for_dead_is_caught) {
    const Plan plan{.slices = Slices::any_time};
    EXPECT_TRUE(is_caught(
        explore_exhaustively(plan, 3, service<TakesWorkersForDead>({.slots = 1, .workers = 2})),
        ""));
}

// A step from one state of a call to another that is taken as Instead::step() says.
template <class Instead>
struct Changes : SimGround {
    using SimGround::SimGround;
    template <class Word>
    bool compare_exchange_seq_cst(Word& word, Number<Word>& expected,
                                  std::type_identity_t<Number<Word>> desired) {
        if constexpr (sizeof(Word) == 8) desired = Instead::step(expected, desired);
        return SimGround::compare_exchange_seq_cst(word, expected, desired);
    }
};
constexpr bool frees(std::uint64_t from, std::uint64_t to, sync::RequestKind kind) {
    return sync::request_kind(from) == kind && sync::request_kind(to) == sync::RequestKind::free;
}

// What a killed client was filling stays its own.
struct KeepsFilling {
    static std::uint64_t step(std::uint64_t from, std::uint64_t to) {
        return frees(from, to, sync::RequestKind::filling) ? from : to;
    }
};
TEST(RequestPoolExhaustiveCanary, a_killed_clients_slot_that_does_not_come_back_is_caught) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    EXPECT_TRUE(is_caught(
        explore_exhaustively(plan, 1,
                             service<Changes<KeepsFilling>>(
                                 {.slots = 1, .clients = 1, .calls = 1, .workers_survive = true})),
        "a slot did not come back"));
}

// Who gives up a call that a worker has frees its slot.
struct FreesAtOnce {
    static std::uint64_t step(std::uint64_t from, std::uint64_t to) {
        const bool gives_up = sync::request_kind(from) == sync::RequestKind::running &&
                              to == (from | sync::kRequestAbandoned) && to != from;
        return gives_up ? sync::request_in(from, sync::RequestKind::free) : to;
    }
};
TEST(RequestPoolExhaustiveCanary, a_slot_that_is_freed_under_its_worker_is_caught) {
    EXPECT_TRUE(
        is_caught(explore_exhaustively(
                      {.slices = Slices::when_idle}, 2,
                      service<Changes<FreesAtOnce>>(
                          {.slots = 1, .clients = 1, .workers_survive = true, .gives_up = true})),
                  "while a worker had it"));
}

// A worker leaves an answer for one who gave up: that one waits for a slot for ever.
struct AnswersNobody {
    static std::uint64_t step(std::uint64_t from, std::uint64_t to) {
        return frees(from, to, sync::RequestKind::running)
                   ? sync::request_in(from, sync::RequestKind::answered)
                   : to;
    }
};
TEST(RequestPoolExhaustiveCanary, an_answer_for_one_who_gave_up_is_caught) {
    EXPECT_TRUE(
        is_caught(explore_exhaustively(
                      {.slices = Slices::when_idle}, 2,
                      service<Changes<AnswersNobody>>(
                          {.slots = 1, .clients = 1, .workers_survive = true, .gives_up = true})),
                  "it does not end"));
}

}  // namespace
}  // namespace ndshare::schedule
