// The pool of a service's calls under every interleaving that a seed leads to: answers reach the
// call that asked, slots come back, nobody oversleeps; with kills of clients and workers.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "layout/service.h"
#include "schedule/explore.h"
#include "schedule/sim_ground.h"
#include "sync/request_wait.h"

namespace ndshare::schedule {
namespace {

// Call number id of the run: its input is id, its answer 7 * id + 3.
constexpr std::uint64_t answer_of(std::uint64_t id) { return 7 * id + 3; }

struct ServiceTruth {
    std::size_t slots = 2;
    std::uint64_t calls = 0, answered = 0, died = 0, given_up = 0;
};

struct Cast {
    std::size_t slots = 2;
    std::size_t workers = 1, clients = 2;
    int calls = 2;  // of each client
    int retries = 1;
    std::size_t batch_max = 1;
    int client_lives = 1, worker_lives = 1;
    bool gives_up = false;  // now and then
    bool by_share = false;
    bool ahead = false;  // clients submit all their calls before they ask for an answer
};

template <class Ground>
class ServicePeer {
 public:
    ServicePeer(World& world, ServiceTruth& truth, Process& who)
        : world_(world),
          truth_(truth),
          who_(who),
          ground_(world, who.row),
          control_(world.control().base(), truth.slots),
          pool_(control_, ground_),
          ends_(control_, ground_) {}

    struct Over {};
    bool clients_are_over() const {
        for (const Process& p : world_.processes()) {
            if (p.role == "client" && p.unfinished()) return false;
        }
        return true;
    }
    sync::Patience patient() {
        return {platform::kForeverNs, spin_, [this] {
                    pool_.settle_all();
                    if (who_.role == "worker" && clients_are_over()) throw Over();
                }};
    }

    struct Asked {
        sync::Held held;
        std::uint64_t id;
    };
    Asked submit() {
        auto patience = patient();
        const auto held = sync::wait_for_slot(
            pool_, ends_, control_.words().room, ground_, who_.owner, [] { return true; },
            [this] { collect_answered(); }, patience);
        world_.require(held.has_value(), "no slot came");
        const std::uint64_t id = ++truth_.calls;
        ground_.store_relaxed(input(held->slot), id);
        order_ = pool_.next_order(order_);
        pool_.submit(who_.owner, *held, {.order = order_, .submitted_ns = id});
        return {*held, id};
    }
    // One call, to its end.
    void call(bool give_up) {
        const Asked asked = submit();
        if (give_up && pool_.abandon(asked.held)) {
            ++truth_.given_up;
            return;
        }
        conclude(asked);
    }
    // Submits all before it asks for an answer.
    void call_ahead(int calls) {
        for (int c = 0; c < calls; ++c) asked_.push_back(submit());
        for (const Asked& asked : std::exchange(asked_, {})) conclude(asked);
    }
    void collect_answered() {
        std::erase_if(asked_, [this](const Asked& asked) {
            if (!sync::is_over(pool_.look(asked.held.slot))) return false;
            conclude(asked);
            return true;
        });
    }
    void conclude(const Asked& asked) {
        auto waiting = patient();
        const auto& [held, id] = asked;
        const std::uint64_t word =
            sync::wait_for_answer(pool_, control_.state(held.slot), ground_, held, waiting);
        world_.require(sync::ticket_of(word) == sync::ticket_of(held.word),
                       "a slot was given to another call while it was one's own");
        switch (sync::request_kind(word)) {
            case sync::RequestKind::answered:
                world_.require(ground_.load_relaxed(result(held.slot)) == answer_of(id),
                               "a wrong answer");
                ++truth_.answered;
                break;
            case sync::RequestKind::died:
                ++truth_.died;
                break;
            default:
                world_.violate("a call ended in no way");
        }
        world_.require(ground_.load_relaxed(input(held.slot)) == id,
                       "an input changed before its call was over");
        pool_.collect(held);
    }

    // count calls, as worker.
    void answer(int count, std::size_t batch_max) {
        std::vector<sync::WaitingCall> calls;
        while (count > 0) {
            sync::WorkWait<Ground> wait(
                control_, ground_, who_.owner,
                {.size_max = std::min(batch_max, static_cast<std::size_t>(count))});
            auto patience = patient();
            if (!wait.wait(patience, calls)) world_.violate("a wait without end ended");
            for (const auto& call : calls) {
                const std::uint64_t id = ground_.load_relaxed(input(call.slot));
                ground_.store_relaxed(result(call.slot), answer_of(id));
                world_.require(ground_.load_relaxed(input(call.slot)) == id,
                               "an input changed while a worker had it");
                (void)pool_.finish({call.slot, call.word}, sync::RequestKind::answered);
                --count;
            }
        }
    }
    // Until all clients are over.
    void work(std::size_t batch_max) {
        try {
            answer(1'000'000, batch_max);
        } catch (const Over&) {
        }
    }

 private:
    layout::Word64& input(std::size_t slot) { return world_.payload(slot * 2); }
    layout::Word64& result(std::size_t slot) { return world_.payload(slot * 2 + 1); }

    World& world_;
    ServiceTruth& truth_;
    Process& who_;
    Ground ground_;
    layout::ServiceControl control_;
    sync::RequestPool<Ground> pool_;
    sync::Ends<Ground, layout::ServiceControl> ends_;
    sync::SpinBudget spin_{0};
    std::uint64_t order_ = 0;
    std::vector<Asked> asked_;
};

template <class Ground>
Setup service(Cast cast) {
    return [=](World& world) {
        auto truth = std::make_shared<ServiceTruth>();
        truth->slots = cast.slots;
        layout::ServiceControl control(world.control().base(), cast.slots);
        world.set_initial(control.service().retries, static_cast<std::uint64_t>(cast.retries));
        std::size_t row = 0;
        for (std::size_t k = 0; k < cast.clients; ++k) {
            const Role role{.name = "client", .row = row++, .lives = cast.client_lives};
            world.spawn(role, [&world, truth, cast](Process& who) {
                ServicePeer<Ground> peer(world, *truth, who);
                if (cast.ahead) return peer.call_ahead(cast.calls);
                for (int c = 0; c < cast.calls; ++c) {
                    peer.call(cast.gives_up && world.pick(2) == 1);
                }
            });
        }
        // Without slices each worker answers its share, so that all of them end.
        const int all = static_cast<int>(cast.clients) * cast.calls;
        const int workers = static_cast<int>(cast.workers);
        for (int k = 0; k < workers; ++k) {
            const int share = all / workers + (k < all % workers ? 1 : 0);
            const Role role{.name = "worker", .row = row++, .lives = cast.worker_lives};
            world.spawn(role, [&world, truth, share, cast](Process& who) {
                ServicePeer<Ground> peer(world, *truth, who);
                cast.by_share ? peer.answer(share, cast.batch_max) : peer.work(cast.batch_max);
            });
        }
    };
}

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

// Everybody who does not answer at once is taken for dead: a call is computed twice at a time, and
// its slot is another's while somebody writes into it.
struct TakesWorkersForDead : SimGround {
    using SimGround::SimGround;
    bool owner_is_alive(std::uint64_t owner) const {
        return sync::row_of(owner) == own_row() && SimGround::owner_is_alive(owner);
    }
};
TEST(RequestPoolCanary, taking_the_living_for_dead_is_caught) {
    const Plan plan{.slices = Slices::any_time};
    EXPECT_TRUE(
        is_caught(hunt(plan, 20000, service<TakesWorkersForDead>({.slots = 2, .workers = 2})), ""));
}

TEST(RequestPoolExhaustiveCanary, taking_the_living_for_dead_is_caught) {
    const Plan plan{.slices = Slices::any_time};
    EXPECT_TRUE(is_caught(
        explore_exhaustively(plan, 3, service<TakesWorkersForDead>({.slots = 1, .workers = 2})),
        ""));
}

}  // namespace
}  // namespace ndshare::schedule
