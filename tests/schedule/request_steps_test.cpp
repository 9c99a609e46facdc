// Each step of a call against one who sleeps because of it, under weak memory, though no sleep ends
// by itself: the smallest worlds that can show a wake that is lost or a step that should not be.
#include <memory>

#include "schedule/explore.h"
#include "schedule/service_model.h"
#include "schedule/stream_model.h"

namespace ndshare::schedule {
namespace {

using sync::Held;
using sync::RequestKind;

const Plan kOnlyWakes{.slices = Slices::never, .weak_memory = true};
constexpr std::uint64_t kTicket = std::uint64_t{7} << sync::kTicketShift;

// One process of a service.
struct Side {
    Side(World& world, Process& process, std::size_t slots = 1)
        : who(process),
          ground(world, process.row),
          control(world.control().base(), slots),
          pool(control, ground),
          ends(control, ground) {}
    Process& who;
    SimGround ground;
    layout::ServiceControl control;
    sync::RequestPool<SimGround> pool;
    sync::Ends<SimGround, layout::ServiceControl> ends;
    sync::SpinBudget spin{0};
};

// ---- a slot that comes free ---------------------------------------------------------------------

constexpr std::size_t kMaker = 1, kVictim = 2;

struct Step {
    const char* name;
    std::uint64_t state;  // of the slot, before it
    void (*play)(World&, Side&, const Held&);
    bool is_waiters_call = false;  // the waiter has an answer to collect
};

std::uint64_t owner_in(std::size_t row) { return sync::owner_word(row, 1); }
std::uint64_t held_by(std::size_t row, RequestKind kind) {
    return sync::request_with(kTicket, kind, owner_in(row));
}

const Step kSteps[] = {
    {"given back", held_by(kMaker, RequestKind::filling),
     [](World&, Side& me, const Held& held) { me.pool.give_back(held); }},
    {"given up", sync::request_in(kTicket, RequestKind::queued),
     [](World&, Side& me, const Held& held) { (void)me.pool.abandon(held); }},
    {"collected", sync::request_in(kTicket, RequestKind::answered),
     [](World&, Side& me, const Held& held) { me.pool.collect(held); }},
    {"answered for nobody", held_by(kMaker, RequestKind::running) | sync::kRequestAbandoned,
     [](World&, Side& me, const Held& held) { (void)me.pool.finish(held, RequestKind::answered); }},
    {"let go for nobody", held_by(kMaker, RequestKind::running) | sync::kRequestAbandoned,
     [](World&, Side& me, const Held& held) { me.pool.redeliver(held); }},
    {"answered", held_by(kMaker, RequestKind::running),
     [](World&, Side& me, const Held& held) { (void)me.pool.finish(held, RequestKind::answered); },
     true},
    {"let go for good", held_by(kMaker, RequestKind::running),
     [](World&, Side& me, const Held& held) { me.pool.redeliver(held); }, true},
    {"expired", sync::request_in(kTicket, RequestKind::queued),
     [](World&, Side& me, const Held&) {
         std::vector<sync::WaitingCall> calls;
         me.pool.find_waiting(2, calls);
     },
     true},
    {"settled", held_by(kVictim, RequestKind::filling),
     [](World& world, Side& me, const Held& held) {
         while (world.holder_lives(owner_in(kVictim))) world.pause();
         me.pool.settle(held.slot);
     }},
};

// One waits for the only slot while another one's step frees it.
Setup slot_that_comes_free(const Step& step) {
    return [step](World& world) {
        const layout::ServiceControl control(world.control().base(), 1);
        world.set_initial(control.state(0), step.state);
        world.set_initial(control.line(0).client, owner_in(step.is_waiters_call ? 0 : kMaker));
        world.set_initial(control.line(0).deadline_ns, 1);
        const Held held{0, step.state};
        world.spawn({.name = "waiter", .row = 0}, [&world, step, held](Process& who) {
            Side me(world, who);
            sync::Patience patience(platform::kForeverNs, me.spin);
            const auto make_room = [&] {
                if (step.is_waiters_call && sync::is_over(me.pool.look(0))) me.pool.collect(held);
            };
            // Only the last look before the sleep can find the slot.
            int looks = 0;
            const auto may = [&] { return ++looks > 2; };
            const auto slot = sync::wait_for_slot(me.pool, me.ends, me.control.words().room,
                                                  me.ground, who.owner, may, make_room, patience);
            world.require(slot && sync::ticket_of(slot->word) == sync::ticket_of(kTicket) + 1,
                          "no slot came");
            Gate<SimGround>(world, who).open();
        });
        world.spawn({.name = "maker", .row = kMaker}, [&world, step, held](Process& who) {
            Side me(world, who);
            step.play(world, me, held);
            Gate<SimGround>(world, who).pass();  // nothing is learned from its end
        });
        world.spawn({.name = "victim", .row = kVictim}, [&world](Process&) { world.pause(); });
    };
}

TEST(RequestSteps, whatever_frees_a_slot_wakes_who_waits_for_one) {
    for (const Step& step : kSteps) {
        EXPECT_TRUE(holds(explore(kOnlyWakes, 20000, slot_that_comes_free(step)))) << step.name;
    }
}

// ---- a deadline ---------------------------------------------------------------------------------

void put_in_queue(World& world, std::uint64_t deadline_ns) {
    const layout::ServiceControl control(world.control().base(), 1);
    world.set_initial(control.state(0), sync::request_in(kTicket, RequestKind::queued));
    world.set_initial(control.line(0).client, owner_in(0));
    world.set_initial(control.line(0).deadline_ns, deadline_ns);
}
const Held kInQueue{0, sync::request_in(kTicket, RequestKind::queued)};

RequestKind wait_for_end(Side& me, const Held& held) {
    sync::Patience patience(platform::kForeverNs, me.spin);
    return sync::request_kind(
        sync::wait_for_answer(me.pool, me.control.state(0), me.ground, held, patience));
}

TEST(RequestSteps, a_call_that_expires_wakes_its_client_that_is_about_to_sleep) {
    const auto setup = [](World& world) {
        put_in_queue(world, 1);
        world.spawn({.name = "client", .row = 0}, [&world](Process& who) {
            Side me(world, who);
            world.require(wait_for_end(me, kInQueue) == RequestKind::expired, "it did not expire");
        });
        world.spawn({.name = "worker", .row = 1}, [&world](Process& who) {
            std::vector<sync::WaitingCall> calls;
            Side(world, who).pool.find_waiting(2, calls);
        });
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 10000, setup)));
}

TEST(RequestSteps, a_call_that_a_worker_took_in_time_does_not_expire) {
    const auto setup = [](World& world) {
        put_in_queue(world, 1);
        auto was_taken = std::make_shared<bool>(false);
        world.spawn({.name = "client", .row = 0}, [&world, was_taken](Process& who) {
            Side me(world, who);
            const RequestKind end = wait_for_end(me, kInQueue);
            world.require((end == RequestKind::answered) == *was_taken, "the wrong end");
        });
        world.spawn({.name = "early", .row = 1}, [&world, was_taken](Process& who) {
            Side me(world, who);
            std::vector<sync::WaitingCall> calls;
            me.pool.find_waiting(0, calls);
            me.pool.take(who.owner, calls, false);
            if (calls.empty()) return;
            *was_taken = true;
            try {
                (void)me.pool.finish({0, calls[0].word}, RequestKind::answered);
            } catch (const CorruptBytes&) {
                world.violate("a call expired under its worker");
            }
        });
        world.spawn({.name = "late", .row = 2}, [&world](Process& who) {
            std::vector<sync::WaitingCall> calls;
            Side(world, who).pool.find_waiting(2, calls);
        });
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 10000, setup)));
}

// The slot's former call was too late.
TEST(RequestSteps, a_call_is_judged_by_its_own_deadline) {
    const auto setup = [](World& world) {
        auto truth = std::make_shared<ServiceTruth>();
        truth->slots = 1;
        world.spawn({.name = "client", .row = 0}, [&world, truth](Process& who) {
            ServicePeer<SimGround> peer(world, *truth, who);
            for (const bool too_late : {true, false}) peer.conclude(peer.submit(too_late));
        });
        world.spawn({.name = "worker", .row = 1}, [&world, truth](Process& who) {
            ServicePeer<SimGround>(world, *truth, who).answer(1, 1);
        });
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 10000, setup)));
}

// ---- workers ------------------------------------------------------------------------------------

// Each of two workers takes one call and is gone. What is submitted between the wake of one and its
// flag is for the other, whom nobody woke for it.
TEST(RequestSteps, a_call_that_came_without_a_flag_is_passed_on) {
    const auto setup = [](World& world) {
        const layout::ServiceControl control(world.control().base(), 2);
        for (std::size_t row = 0; row < 2; ++row) {
            const Held held{row, held_by(row, RequestKind::filling)};
            world.set_initial(control.state(row), held.word);
            world.spawn({.name = "client", .row = row}, [&world, held](Process& who) {
                (void)Side(world, who, 2).pool.submit(who.owner, held, {});
            });
        }
        for (std::size_t row = 2; row < 4; ++row) {
            world.spawn({.name = "worker", .row = row}, [&world](Process& who) {
                Side me(world, who, 2);
                sync::Patience patience(platform::kForeverNs, me.spin);
                std::vector<sync::WaitingCall> calls;
                sync::WorkWait<SimGround> wait(me.control, me.ground, who.owner, {});
                world.require(wait.wait(patience, calls), "a wait without end ended");
            });
        }
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 50000, setup)));
}

TEST(RequestSteps, the_services_time_is_the_greatest_tag_that_was_taken) {
    const auto setup = [](World& world) {
        const layout::ServiceControl control(world.control().base(), 2);
        for (std::size_t slot = 0; slot < 2; ++slot) {
            const std::uint64_t queued = sync::request_in(kTicket, RequestKind::queued);
            world.set_initial(control.state(slot), queued);
            world.spawn({.name = "worker", .row = slot}, [&world, slot, queued](Process& who) {
                std::vector<sync::WaitingCall> calls{
                    {.slot = slot, .word = queued, .order = 10 * (slot + 1)}};
                Side(world, who, 2).pool.take(who.owner, calls, false);
            });
        }
        world.at_end([&world, control] {
            world.require(world.last(control.service().time) == 20, "the time is too old");
        });
    };
    EXPECT_TRUE(holds(explore(kOnlyWakes, 5000, setup)));
}

struct Stopped {};

// Two workers; one of them is told to stop as soon as it is awake. The client calls until the other
// one has answered.
Setup worker_that_is_stopped() {
    struct Seen {
        bool other_has_answered = false, stopped_is_over = false;
    };
    return [](World& world) {
        auto seen = std::make_shared<Seen>();
        const auto answer_one = [&world, seen](Process& who, bool is_other, auto go_on) {
            Side me(world, who);
            sync::Patience patience(platform::kForeverNs, me.spin, go_on);
            std::vector<sync::WaitingCall> calls;
            sync::WorkWait<SimGround> wait(me.control, me.ground, who.owner, {});
            if (!wait.wait(patience, calls)) world.violate("a wait without end ended");
            seen->other_has_answered |= is_other;
            (void)me.pool.finish({calls[0].slot, calls[0].word}, RequestKind::answered);
        };
        world.spawn({.name = "client", .row = 0}, [&world, seen](Process& who) {
            Side me(world, who);
            while (!seen->other_has_answered) {
                Held held = me.pool.claim(who.owner).value();
                held.word = me.pool.submit(who.owner, held, {});
                sync::Patience patience(platform::kForeverNs, me.spin);
                (void)sync::wait_for_answer(me.pool, me.control.state(0), me.ground, held,
                                            patience);
                me.pool.collect(held);
            }
            while (!seen->stopped_is_over) {
                me.ground.wake_all(me.control.service().requests);
                world.pause();
            }
        });
        world.spawn({.name = "stopped", .row = 1}, [seen, answer_one](Process& who) {
            try {
                answer_one(who, false, [] { throw Stopped(); });
            } catch (const Stopped&) {
            }
            seen->stopped_is_over = true;
        });
        world.spawn({.name = "other", .row = 2},
                    [answer_one](Process& who) { answer_one(who, true, [] {}); });
    };
}

TEST(RequestSteps, a_worker_that_is_stopped_as_it_wakes_hands_the_wake_to_another) {
    Plan plan = kOnlyWakes;
    plan.ns_a_step = 2 * sync::kAskPeriodNs;  // whoever slept is asked
    EXPECT_TRUE(holds(explore(plan, 10000, worker_that_is_stopped())));
}

}  // namespace
}  // namespace ndshare::schedule
