// The pool of a service's calls under every interleaving that a seed leads to: answers reach the
// call that asked, slots come back, nobody oversleeps; with kills of clients and workers.
#include <gtest/gtest.h>

#include "schedule/explore.h"
#include "schedule/service_model.h"

namespace ndshare::schedule {
namespace {

TEST(RequestPool, answers_reach_the_call_that_asked_and_nobody_oversleeps) {
    for (const bool weak : {false, true}) {
        const Plan plan{.slices = Slices::never, .weak_memory = weak};
        EXPECT_TRUE(holds(explore(plan, 10000, service<SimGround>({.by_share = true}))));
        EXPECT_TRUE(holds(explore(
            plan, 10000,
            service<SimGround>({.slots = 3, .workers = 2, .clients = 2, .by_share = true}))));
        EXPECT_TRUE(holds(
            explore(plan, 10000,
                    service<SimGround>(
                        {.slots = 4, .workers = 3, .clients = 4, .calls = 1, .by_share = true}))));
    }
}
TEST(RequestPool, clients_wait_for_slots_and_none_oversleeps) {
    const Plan plan{.slices = Slices::never, .weak_memory = true};
    EXPECT_TRUE(holds(
        explore(plan, 10000, service<SimGround>({.slots = 1, .clients = 3, .by_share = true}))));
}
TEST(RequestPool, clients_that_submit_ahead_do_not_wait_for_each_other) {
    const Plan plan{.slices = Slices::never, .weak_memory = true};
    for (const std::size_t slots : {1UL, 2UL}) {
        EXPECT_TRUE(holds(explore(
            plan, 10000,
            service<SimGround>({.slots = slots, .calls = 3, .by_share = true, .ahead = true}))));
    }
}
TEST(RequestPool, batches_have_each_call_once) {
    const Plan plan{.slices = Slices::never, .weak_memory = true};
    EXPECT_TRUE(holds(
        explore(plan, 10000,
                service<SimGround>(
                    {.slots = 4, .workers = 2, .clients = 4, .batch_max = 3, .by_share = true}))));
}
TEST(RequestPool, killed_workers_calls_go_to_others) {
    const Plan plan{.slices = Slices::when_idle, .kills = 3, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 10000,
                              service<SimGround>({.slots = 3,
                                                  .workers = 2,
                                                  .clients = 2,
                                                  .retries = 4,
                                                  .batch_max = 2,
                                                  .worker_lives = 4}))));
}
TEST(RequestPool, slots_of_killed_and_impatient_clients_come_back) {
    const Plan plan{.slices = Slices::when_idle, .kills = 3, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 10000,
                              service<SimGround>({.slots = 1,
                                                  .workers = 2,
                                                  .clients = 2,
                                                  .calls = 3,
                                                  .batch_max = 2,
                                                  .client_lives = 3,
                                                  .worker_lives = 4,
                                                  .gives_up = true}))));
}

// ---- canaries -----------------------------------------------------------------------------------

// A submitter that overlooks sleepers.
struct OverlooksSleepers : SimGround {
    using SimGround::SimGround;
    void wake_one(auto&) const {}
};
TEST(RequestPoolCanary, a_submission_that_wakes_nobody_is_caught) {
    const Plan plan{.slices = Slices::never};
    EXPECT_TRUE(is_caught(hunt(plan, 20000, service<OverlooksSleepers>({.by_share = true})), ""));
}

// An answer that tells nobody who waits for room: who submits ahead waits for ever.
struct TellsNoRoom : SimGround {
    using SimGround::SimGround;
    void wake_all(auto& word) const {
        if constexpr (sizeof(word) == 8) SimGround::wake_all(word);
    }
};
TEST(RequestPoolCanary, answers_that_do_not_tell_of_room_are_caught) {
    const Plan plan{.slices = Slices::never};
    EXPECT_TRUE(is_caught(
        hunt(plan, 20000,
             service<TellsNoRoom>({.slots = 1, .clients = 1, .by_share = true, .ahead = true})),
        ""));
}

// An answer that does not wait for its bytes.
struct AnswersEarly : SimGround {
    using SimGround::SimGround;
    template <class Word>
    bool compare_exchange_seq_cst(Word& word, Number<Word>& expected,
                                  std::type_identity_t<Number<Word>> desired) {
        if constexpr (sizeof(Word) == 8) {
            if (sync::request_kind(desired) == sync::RequestKind::answered &&
                load_relaxed(word) == expected) {
                store_relaxed(word, desired);
                return true;
            }
        }
        return SimGround::compare_exchange_seq_cst(word, expected, desired);
    }
};
TEST(RequestPoolCanary, an_answer_before_its_bytes_is_caught_under_weak_memory) {
    const Plan plan{.slices = Slices::when_idle, .weak_memory = true};
    EXPECT_TRUE(is_caught(hunt(plan, 20000, service<AnswersEarly>({})), ""));
}

TEST(RequestPoolCanary, taking_the_living_for_dead_is_caught) {
    const Plan plan{.slices = Slices::any_time};
    EXPECT_TRUE(
        is_caught(hunt(plan, 20000, service<TakesWorkersForDead>({.slots = 2, .workers = 2})), ""));
}

}  // namespace
}  // namespace ndshare::schedule
