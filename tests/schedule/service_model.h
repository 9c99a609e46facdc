// schedule/service_model.h: clients and workers of one service, and what a test knows about their
// calls beyond the words they share.
//
// Call number id of a run has the input id and the answer 7 * id + 3. Threads: one.
#pragma once
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "layout/service.h"
#include "schedule/sim_ground.h"
#include "sync/request_wait.h"

namespace ndshare::schedule {

constexpr std::uint64_t answer_of(std::uint64_t id) { return 7 * id + 3; }

struct ServiceTruth {
    std::size_t slots = 2;
    std::uint64_t calls = 0;
};

struct ServiceCast {
    std::size_t slots = 2;
    std::size_t workers = 1, clients = 2;
    int calls = 2;  // of each client
    int retries = 1;
    std::size_t batch_max = 1;
    int client_lives = 1, worker_lives = 1;
    // The last so many clients are never killed; no worker is.
    std::size_t survivors = 0;
    bool workers_survive = false;
    bool gives_up = false;  // now and then: at once, or after it has said that it sleeps
    bool too_late = false;  // now and then a call's deadline is over before it is submitted
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
                    // Settled after the last client was over: nothing of it is left.
                    const bool over = who_.role == "worker" && clients_are_over();
                    pool_.settle_all();
                    if (over) throw Over();
                }};
    }

    struct Asked {
        sync::Held held;
        std::uint64_t id;
        bool too_late = false;
    };
    Asked submit(bool too_late = false) {
        auto patience = patient();
        const auto held = sync::wait_for_slot(
            pool_, ends_, control_.words().room, ground_, who_.owner, [] { return true; },
            [this] { collect_answered(); }, patience);
        world_.require(held.has_value(), "no slot came");
        const std::uint64_t id = ++truth_.calls;
        ground_.store_relaxed(input(held->slot), id);
        order_ = pool_.next_order(order_);
        pool_.submit(who_.owner, *held,
                     {.order = order_, .deadline_ns = too_late ? 1U : 0U, .submitted_ns = id});
        return {*held, id, too_late};
    }
    // One call, to its end.
    void call(const ServiceCast& cast) {
        const Asked asked = submit(cast.too_late && world_.pick(2) == 1);
        switch (cast.gives_up ? world_.pick(3) : 0) {
            case 2:
                (void)pool_.announce_sleep(asked.held);
                [[fallthrough]];
            case 1:
                if (pool_.abandon(asked.held)) return;
                break;
            default:
                break;
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
        const auto& [held, id, too_late] = asked;
        const std::uint64_t word =
            sync::wait_for_answer(pool_, control_.state(held.slot), ground_, held, waiting);
        world_.require(sync::ticket_of(word) == sync::ticket_of(held.word),
                       "a slot was given to another call while it was one's own");
        switch (sync::request_kind(word)) {
            case sync::RequestKind::answered:
                world_.require(!too_late, "a call was computed after its deadline");
                world_.require(ground_.load_relaxed(result(held.slot)) == answer_of(id),
                               "a wrong answer");
                break;
            case sync::RequestKind::died:
                break;
            case sync::RequestKind::expired:
                world_.require(too_late, "a call without a deadline expired");
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
                finish(call);
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
    void finish(const sync::WaitingCall& call) {
        try {
            (void)pool_.finish({call.slot, call.word}, sync::RequestKind::answered);
        } catch (const CorruptBytes&) {
            world_.violate("a slot was given to another call while a worker had it");
        }
    }
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
auto service(ServiceCast cast) {
    return [=](World& world) {
        auto truth = std::make_shared<ServiceTruth>();
        truth->slots = cast.slots;
        layout::ServiceControl control(world.control().base(), cast.slots);
        world.set_initial(control.service().retries, static_cast<std::uint64_t>(cast.retries));
        std::size_t row = 0;
        for (std::size_t k = 0; k < cast.clients; ++k) {
            const Role role{.name = "client",
                            .row = row++,
                            .lives = cast.client_lives,
                            .may_be_killed = k + cast.survivors < cast.clients};
            world.spawn(role, [&world, truth, cast](Process& who) {
                ServicePeer<Ground> peer(world, *truth, who);
                if (cast.ahead) return peer.call_ahead(cast.calls);
                for (int c = 0; c < cast.calls; ++c) {
                    peer.call(cast);
                }
            });
        }
        if (cast.workers_survive && !cast.by_share) {
            world.at_end([&world, control] {
                for (std::size_t slot = 0; slot < control.slot_count(); ++slot) {
                    world.require(sync::request_kind(world.last(control.state(slot))) ==
                                      sync::RequestKind::free,
                                  "a slot did not come back");
                }
            });
        }
        // Without slices each worker answers its share, so that all of them end.
        const int all = static_cast<int>(cast.clients) * cast.calls;
        const int workers = static_cast<int>(cast.workers);
        for (int k = 0; k < workers; ++k) {
            const int share = all / workers + (k < all % workers ? 1 : 0);
            const Role role{.name = "worker",
                            .row = row++,
                            .lives = cast.worker_lives,
                            .may_be_killed = !cast.workers_survive};
            world.spawn(role, [&world, truth, share, cast](Process& who) {
                ServicePeer<Ground> peer(world, *truth, who);
                cast.by_share ? peer.answer(share, cast.batch_max) : peer.work(cast.batch_max);
            });
        }
    };
}

// Of canaries: everybody who does not answer at once is taken for dead. A call is computed twice at
// a time, and its slot is another's while somebody writes into it.
struct TakesWorkersForDead : SimGround {
    using SimGround::SimGround;
    bool owner_is_alive(std::uint64_t owner) const {
        return sync::row_of(owner) == own_row() && SimGround::owner_is_alive(owner);
    }
};

}  // namespace ndshare::schedule
