// Pollers and those who ring them: who arms its bell and then looks either sees the news or is
// rung, though no poll ends by itself.
#include "sync/bells.h"

#include <map>
#include <memory>

#include "schedule/array_model.h"
#include "schedule/explore.h"

namespace ndshare::schedule {
namespace {

struct Belfry {
    std::map<std::size_t, const Process*> holders;  // of each bell
    int rung = 0;
};

// Counts what it rings.
struct Ringer : SimGround {
    using SimGround::SimGround;
    bool ring(std::uint32_t pid, std::uint32_t fd, std::uint64_t inode) {
        const bool did = SimGround::ring(pid, fd, inode);
        *rung += did ? 1 : 0;
        return did;
    }
    int* rung = nullptr;
};

// A handle with a descriptor, as api/bell.cpp has it: one pipe, moved from bell to bell.
template <class Ground>
class Handle {
 public:
    Handle(World& world, Belfry& belfry, Process& who)
        : world_(world),
          belfry_(belfry),
          who_(who),
          ground_(world, who.row),
          bells_(world.control(), ground_) {
        ground_.store_release(world.control().row(who.row).pid, World::pid_of(who));
    }
    void attach() {
        index_ = bells_.claim(who_.owner, World::fd_of(who_), World::inode_of(who_));
        const Process*& holder = belfry_.holders[index_];
        world_.require(holder == nullptr || !holder->unfinished(), "two handles have one bell");
        holder = &who_;
    }
    void detach() {
        belfry_.holders[index_] = nullptr;
        bells_.release(index_, who_.owner);
    }
    void arm() { bells_.arm(index_); }
    // Until so many writes are completed.
    void poll_until(std::uint64_t target) {
        for (;;) {
            world_.exchange(&pipe(), sizeof pipe(), 0, Order::acq_rel);
            arm();
            if (sync::completed(ground_.load_acquire(world_.control().words().version)) >= target) {
                return;
            }
            ground_.sleep(pipe(), 0, platform::kForeverNs);
        }
    }

 private:
    layout::Word32& pipe() { return world_.pipe(World::fd_of(who_)); }
    World& world_;
    Belfry& belfry_;
    Process& who_;
    Ground ground_;
    sync::Bells<Ground> bells_;
    std::size_t index_ = 0;
};

struct Shape {
    std::size_t writers = 1, pollers = 1;
    int writes = 1;  // of each writer
    bool writers_may_die = false, pollers_may_die = false;
};

// The last of the pollers and the last of the writers are never killed.
template <class Ground>
Setup pollers_and_writers(Shape shape) {
    return [=](World& world) {
        auto truth = watch(world);
        auto belfry = std::make_shared<Belfry>();
        std::size_t row = 0;
        for (std::size_t k = 0; k < shape.pollers; ++k) {
            const bool mortal = shape.pollers_may_die && k + 1 < shape.pollers;
            world.spawn({.name = "poller", .row = row++, .lives = 2, .may_be_killed = mortal},
                        [&world, belfry, shape](Process& who) {
                            Handle<Ground> handle(world, *belfry, who);
                            const auto all =
                                static_cast<std::uint64_t>(shape.writes) * shape.writers;
                            handle.attach();
                            handle.poll_until(1);
                            handle.detach();
                            handle.attach();
                            handle.poll_until(shape.writers_may_die ? 1 : all);
                        });
        }
        for (std::size_t k = 0; k < shape.writers; ++k) {
            const bool mortal = shape.writers_may_die && k + 1 < shape.writers;
            world.spawn({.name = "writer", .row = row++, .lives = 2, .may_be_killed = mortal},
                        [&world, truth, belfry, shape](Process& who) {
                            Peer<Ground> peer(world, *truth, who);
                            peer.ground().rung = &belfry->rung;
                            sync::Bells bells(world.control(), peer.ground());
                            for (int w = 0; w < shape.writes; ++w) {
                                peer.write();
                                bells.ring_armed();
                            }
                        });
        }
    };
}

constexpr Plan kOnlyRings{.slices = Slices::never, .weak_memory = true};

TEST(Bells, ring_whoever_looked_too_early) {
    EXPECT_TRUE(holds(explore(kOnlyRings, 20000, pollers_and_writers<Ringer>({.writes = 2}))));
    EXPECT_TRUE(holds(
        explore(kOnlyRings, 20000, pollers_and_writers<Ringer>({.writers = 2, .pollers = 2}))));
}

TEST(Bells, ring_the_living_whoever_else_dies) {
    Plan plan = kOnlyRings;
    plan.kills = 2;
    const Shape shape{.writers = 1, .pollers = 3, .writes = 2, .pollers_may_die = true};
    EXPECT_TRUE(holds(explore(plan, 20000, pollers_and_writers<Ringer>(shape))));
}

TEST(Bells, ring_once_for_each_time_they_were_armed) {
    const auto setup = [](World& world) {
        auto belfry = std::make_shared<Belfry>();
        auto ringers_left = std::make_shared<int>(2);
        world.spawn({.name = "poller"}, [&world, belfry, ringers_left](Process& who) {
            Handle<Ringer> handle(world, *belfry, who);
            handle.attach();
            handle.arm();
            while (*ringers_left > 0) world.pause();
        });
        for (std::size_t row = 1; row < 3; ++row) {
            world.spawn({.name = "ringer", .row = row},
                        [&world, belfry, ringers_left](Process& who) {
                            Ringer ground(world, who.row);
                            ground.rung = &belfry->rung;
                            sync::Bells(world.control(), ground).ring_armed();
                            --*ringers_left;
                        });
        }
        world.at_end([&world, belfry] {
            world.require(belfry->rung <= 1, "a bell was armed once and rung twice");
        });
    };
    EXPECT_TRUE(holds(explore({.weak_memory = true}, 10000, setup)));
}

// A ring that went with its ringer is made up for by the end of the poll's time.
TEST(Bells, of_dead_ringers_keep_nobody_for_ever) {
    const Plan plan{.slices = Slices::when_idle, .kills = 2, .weak_memory = true};
    const Shape shape{.writers = 2, .pollers = 2, .writers_may_die = true};
    EXPECT_TRUE(holds(explore(plan, 10000, pollers_and_writers<Ringer>(shape))));
}

// ---- the mark of what is in use ----------------------------------------------------------------

// Each makes its page real, then says so; whoever sees a mark finds the page right below it.
TEST(HighWater, is_seen_with_what_lies_below_it) {
    const auto setup = [](World& world) {
        for (std::size_t row = 0; row < 3; ++row) {
            world.spawn({.name = "taker", .row = row}, [&world, row](Process& who) {
                SimGround ground(world, who.row);
                ground.store_relaxed(world.scratch(row), 1);
                sync::raise_high_water(ground, world.control().words().row_high_water, row);
            });
        }
        world.spawn({.name = "looker", .row = 3}, [&world](Process& who) {
            SimGround ground(world, who.row);
            const auto mark = ground.load_acquire(world.control().words().row_high_water);
            if (mark == 0) return;
            world.require(ground.load_relaxed(world.scratch(mark - 1)) == 1, "a page is a hole");
        });
        world.at_end([&world] {
            world.require(world.last(world.control().words().row_high_water) == 3,
                          "the mark is not above all that is in use");
        });
    };
    EXPECT_TRUE(holds(explore({.weak_memory = true}, 5000, setup)));
}

// ---- canaries -----------------------------------------------------------------------------------

const Shape kTwoAndTwo{.writers = 2, .pollers = 2};

bool is_need_ring(World& world, const void* word) {
    return word == &world.control().words().need_ring;
}

// The flag by a plain store: it hides what those did who raised it before.
struct RaisesByAStore : Ringer {
    using Ringer::Ringer;
    template <class Word>
    auto exchange_seq_cst(Word& word, std::type_identity_t<Number<Word>> value) {
        if (!is_need_ring(world(), &word) || value == 0) {
            return Ringer::exchange_seq_cst(word, value);
        }
        Ringer::store_seq_cst(word, value);
        return value;
    }
};
TEST(BellsCanary, a_flag_that_hides_an_earlier_one_is_caught) {
    EXPECT_TRUE(is_caught(hunt(kOnlyRings, 20000, pollers_and_writers<RaisesByAStore>(kTwoAndTwo)),
                          "everybody sleeps"));
}

// A ringer that may see an old value of the flag.
struct LooksTooEarly : Ringer {
    using Ringer::Ringer;
    template <class Word>
    auto load_seq_cst(const Word& word) const {
        return is_need_ring(world(), &word) ? load_relaxed(word) : Ringer::load_seq_cst(word);
    }
};
TEST(BellsCanary, a_look_at_the_flag_before_the_version_is_caught) {
    EXPECT_TRUE(is_caught(hunt(kOnlyRings, 5000, pollers_and_writers<LooksTooEarly>(kTwoAndTwo)),
                          "everybody sleeps"));
}

// A poller whose look at the version may come before its flag.
struct ForgetsTheFence : Ringer {
    using Ringer::Ringer;
    void fence_seq_cst() const {}
};
TEST(BellsCanary, a_look_at_the_version_before_the_flag_is_caught) {
    EXPECT_TRUE(is_caught(hunt(kOnlyRings, 5000, pollers_and_writers<ForgetsTheFence>(kTwoAndTwo)),
                          "everybody sleeps"));
}

// A row that is signed by nobody: the ringer knocks at the wrong door.
struct RingsNobody : Ringer {
    using Ringer::Ringer;
    bool ring(std::uint32_t, std::uint32_t fd, std::uint64_t inode) {
        return Ringer::ring(0, fd, inode);
    }
};
TEST(BellsCanary, a_ring_that_goes_astray_is_caught) {
    EXPECT_TRUE(is_caught(hunt(kOnlyRings, 100, pollers_and_writers<RingsNobody>(kTwoAndTwo)),
                          "everybody sleeps"));
}

}  // namespace
}  // namespace ndshare::schedule
