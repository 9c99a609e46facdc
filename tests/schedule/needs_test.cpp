// What a publisher remembers of its ends, under weak memory: it never overwrites a frame that
// somebody holds, whoever joins, is forked, comes back or begins to take frames by number.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "schedule/explore.h"
#include "schedule/stage.h"
#include "schedule/stream_model.h"

namespace ndshare::schedule {
namespace {

constexpr std::uint64_t kBegin = 1000;
const Plan kWeak{.slices = Slices::when_idle, .weak_memory = true};

// Publishers that never wait, and one who takes part as play does.
template <class Ground, class Play>
Setup beside_a_publisher(std::size_t slots, int frames, int kills, Play play,
                         std::size_t publishers = 1) {
    return [=](World& world) {
        auto truth = std::make_shared<StreamTruth>(world, slots, kBegin);
        for (std::size_t row = 0; row < publishers; ++row) {
            world.spawn({.name = "publisher", .row = row}, [&world, truth, frames](Process& who) {
                StreamPeer<Ground> peer(world, *truth, who);
                for (int k = 0; k < frames; ++k) (void)peer.publish();
            });
        }
        world.spawn({.name = "reader", .row = publishers, .lives = 1 + kills},
                    [&world, truth, play](Process& who) {
                        StreamPeer<Ground> peer(world, *truth, who);
                        play(world, peer);
                        peer.let_go_of_all();
                        peer.leave();
                    });
    };
}
std::uint64_t frame_count(World& world) {
    return sync::seq_of(world.last(world.control().words().latest)) - kBegin;
}

template <class Ground>
Setup holding(std::uint32_t kind, std::size_t held_at_most, int kills, std::size_t slots = 4,
              int frames = 8, std::size_t publishers = 1) {
    const auto play = [=](World&, auto& peer) {
        peer.join(kind);
        for (int k = 0; k < frames / 2 + 1; ++k) (void)peer.get_and_hold(held_at_most);
    };
    return beside_a_publisher<Ground>(slots, frames, kills, play, publishers);
}
TEST(StreamNeeds, frames_that_are_held_for_a_while_stay) {
    for (const std::uint32_t kind : {layout::kEndInOrder, layout::kEndLatest}) {
        for (const std::size_t held : {1, 2}) {
            EXPECT_TRUE(holds(explore(kWeak, 8000, holding<SimGround>(kind, held, 0))));
        }
    }
}
// One that dies in the middle leaves slots without a frame.
TEST(StreamNeeds, frames_that_are_held_stay_beside_two_publishers_of_which_one_may_die) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1, .weak_memory = true};
    EXPECT_TRUE(
        holds(explore(plan, 15000, holding<SimGround>(layout::kEndInOrder, 1, 0, 4, 5, 2))));
}
TEST(StreamNeeds, frames_that_are_held_stay_under_kills) {
    const Plan plan{.slices = Slices::when_idle, .kills = 2, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 15000, holding<SimGround>(layout::kEndInOrder, 1, 2))));
}
TEST(StreamNeedsExhaustive, frames_that_are_held_stay_with_a_kill_anywhere) {
    const Plan plan{.slices = Slices::when_idle, .kills = 1};
    for (const std::uint32_t kind : {layout::kEndInOrder, layout::kEndLatest}) {
        const Found found = explore_exhaustively(plan, 1, holding<SimGround>(kind, 1, 1, 3, 5));
        EXPECT_TRUE(holds(found));
        std::printf("             %s\n", found.text.c_str());
    }
}

// It pins a frame between a claimer's look and its BUSY, and what it holds goes over to an end that
// was looked at by then, behind BUSY.
template <class Ground>
Setup forked() {
    return [](World& world) {
        enum { kWillTake = 1, kTakes, kHolds, kMoved };
        constexpr std::size_t kSlots = 3;
        auto moment = std::make_shared<int>(0);
        const layout::StreamControl control(world.control().base(), kSlots);
        const auto has_one = [&world, control] {
            bool is_busy = false;
            for (std::size_t slot = 0; slot < kSlots; ++slot) {
                is_busy |=
                    sync::kind_of(world.last(control.slot(slot).word)) == sync::SlotKind::busy;
            }
            return is_busy;
        };
        Stage stage(world);
        stage.hold(
            0, &control.pins(1, 0),
            [=, &world] {
                if (*moment != kWillTake || frame_count(world) < kSlots || has_one()) return false;
                *moment = kTakes;
                return true;
            },
            [moment] { return *moment >= kHolds; });
        stage.hold(
            0, &control.pins(0, 0), [=] { return *moment == kHolds && has_one(); },
            [moment] { return *moment == kMoved; });
        beside_a_publisher<Ground>(kSlots, 7, 0, [moment](World& w, auto& peer) {
            peer.keep_an_end_free();
            peer.join(layout::kEndInOrder);
            peer.free_the_end();
            *moment = kWillTake;
            while (*moment != kTakes && frame_count(w) < 7) w.pause();
            (void)peer.get_and_hold(1);
            *moment = kHolds;
            for (int k = 0; k < 12; ++k) w.pause();
            peer.move_to_another_end();
            *moment = kMoved;
            for (int k = 0; k < 30; ++k) w.pause();
        })(world);
    };
}
TEST(StreamNeeds, frames_that_a_child_holds_after_its_parent_let_go_stay) {
    EXPECT_TRUE(holds(explore(kWeak, 20000, forked<SimGround>())));
}

// An end with pins alone, as a child has it, begins to take frames by number.
template <class Ground>
Setup beginning_with_refs() {
    return beside_a_publisher<Ground>(3, 8, 0, [](World& world, auto& peer) {
        peer.take_end(layout::kEndIdle);
        while (frame_count(world) < 4) world.pause();
        peer.begin_with_refs();
        for (std::uint64_t seq = kBegin + 3; seq < kBegin + 7; ++seq) {
            if (peer.get_exactly(seq)) peer.let_go_of(0);
        }
    });
}
TEST(StreamNeeds, frames_that_are_taken_by_number_stay) {
    EXPECT_TRUE(holds(explore(kWeak, 20000, beginning_with_refs<SimGround>())));
}

// ---- canaries -----------------------------------------------------------------------------------

// Only so many ends are announced.
template <int kAnnounced>
struct Announces : SimGround {
    using SimGround::SimGround;
    template <class Word>
    void add_seq_cst(Word& word, std::type_identity_t<Number<Word>> value) {
        const void* joins = &world().control().words().joins;
        if (static_cast<const void*>(&word) == joins && ++count > kAnnounced) return;
        SimGround::add_seq_cst(word, value);
    }
    int count = 0;
};
TEST(StreamNeedsCanary, a_child_that_is_not_announced_after_its_pins_is_caught) {
    // Its two ends, the one let go of, and the child's before its pins.
    EXPECT_TRUE(is_caught(hunt(kWeak, 300000, forked<Announces<4>>()), "wrong frame"));
}
// Whether somebody joined during a look is not asked.
struct LooksOnce : SimGround {
    using SimGround::SimGround;
    template <class Word>
    auto load_seq_cst(const Word& word) const {
        const auto value = SimGround::load_seq_cst(word);
        if (static_cast<const void*>(&word) == joins()) joins_seen = value;
        return value;
    }
    template <class Word>
    auto load_relaxed(const Word& word) const {
        const auto value = SimGround::load_relaxed(word);
        const bool is_joins = static_cast<const void*>(&word) == joins();
        return is_joins ? static_cast<Number<Word>>(joins_seen) : value;
    }
    const void* joins() const { return &world().control().words().joins; }
    mutable std::uint64_t joins_seen = 0;
};
TEST(StreamNeedsCanary, a_look_that_a_fork_came_into_is_caught) {
    EXPECT_TRUE(is_caught(hunt(kWeak, 100000, forked<LooksOnce>()), "wrong frame"));
}
TEST(StreamNeedsCanary, refs_that_are_not_announced_are_caught) {
    EXPECT_TRUE(is_caught(hunt(kWeak, 100000, beginning_with_refs<Announces<1>>()), "wrong frame"));
}

// The cursor is out before the pin.
struct CursorBeforePin : SimGround {
    using SimGround::SimGround;
    template <class Word>
    void set_bits_seq_cst(Word& word, std::uint64_t bits) {
        const layout::StreamControl control(world().control().base(), 4);
        auto& cursor = control.end(0).cursor;
        SimGround::store_release(cursor, SimGround::load_relaxed(cursor) + 1);
        SimGround::set_bits_seq_cst(word, bits);
    }
};
TEST(StreamNeedsCanary, a_cursor_that_comes_before_its_pin_is_caught) {
    EXPECT_TRUE(is_caught(hunt(kWeak, 100000, holding<CursorBeforePin>(layout::kEndInOrder, 1, 0)),
                          "wrong frame"));
}

}  // namespace
}  // namespace ndshare::schedule
