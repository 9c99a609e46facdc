// Room in a `block` stream under weak memory: whoever waits for a slot is woken by what makes one
// free, though no sleep ends by itself.
#include <vector>

#include "schedule/explore.h"
#include "schedule/stream_model.h"

namespace ndshare::schedule {
namespace {

constexpr std::uint64_t kBegin = 1000;

// Publishers of a ring that nobody reads: a slot comes free when its frame is the newest no more.
template <class Ground>
Setup publishers_alone(std::size_t slots, std::vector<int> frames_of) {
    return [=](World& world) {
        auto truth = std::make_shared<StreamTruth>(world, slots, kBegin);
        for (std::size_t row = 0; row < frames_of.size(); ++row) {
            const int frames = frames_of[row];
            world.spawn({.name = "publisher", .row = row},
                        [&world, truth, frames, frames_of](Process& who) {
                            StreamPeer<Ground> peer(world, *truth, who);
                            for (int k = 0; k < frames; ++k) {
                                world.require(peer.publish(true), "no slot, without a timeout");
                            }
                            // Whoever is there still is not dead: nothing is learned from its end.
                            Gate<Ground>(world, who).open();
                            Gate<Ground>(world, who).pass(frames_of.size());
                        });
        }
    };
}

// A publisher, and readers who are there before the first frame and read them all.
template <class Ground>
Setup publisher_and_readers(std::size_t slots, std::size_t readers, std::uint64_t frames) {
    return [=](World& world) {
        auto truth = std::make_shared<StreamTruth>(world, slots, kBegin);
        world.spawn({.name = "publisher"}, [&world, truth, readers, frames](Process& who) {
            StreamPeer<Ground> peer(world, *truth, who);
            Gate<Ground>(world, who).pass(readers);
            for (std::uint64_t k = 0; k < frames; ++k) {
                world.require(peer.publish(true), "no slot, without a timeout");
            }
        });
        for (std::size_t row = 1; row <= readers; ++row) {
            world.spawn({.name = "reader", .row = row}, [&world, truth, frames](Process& who) {
                StreamPeer<Ground> peer(world, *truth, who);
                peer.join(layout::kEndInOrder);
                Gate<Ground>(world, who).open();
                for (std::uint64_t k = 0; k < frames; ++k) peer.wait_and_get();
            });
        }
    };
}

const Plan kOnlyWakes{.slices = Slices::never, .weak_memory = true};

TEST(Room, publishers_wake_each_other) {
    EXPECT_TRUE(holds(explore(kOnlyWakes, 30000, publishers_alone<SimGround>(2, {3, 3}))));
    EXPECT_TRUE(holds(explore(kOnlyWakes, 10000, publishers_alone<SimGround>(2, {2, 2, 2}))));
}
TEST(Room, readers_wake_the_publisher_that_waits_for_them) {
    EXPECT_TRUE(holds(explore(kOnlyWakes, 30000, publisher_and_readers<SimGround>(2, 1, 4))));
    EXPECT_TRUE(holds(explore(kOnlyWakes, 10000, publisher_and_readers<SimGround>(3, 2, 4))));
}

// ---- canaries -----------------------------------------------------------------------------------

// Whoever frees a slot may see an old value of the flag.
struct LooksTooEarly : SimGround {
    using SimGround::SimGround;
    template <class Word>
    auto load_seq_cst(const Word& word) const {
        const void* flag = &world().control().words().need_room;
        return flag == &word ? load_relaxed(word) : SimGround::load_seq_cst(word);
    }
};
TEST(RoomCanary, a_slot_that_is_freed_after_the_look_is_caught) {
    EXPECT_TRUE(is_caught(hunt(kOnlyWakes, 60000, publisher_and_readers<LooksTooEarly>(2, 1, 4)),
                          "sleeps"));
    EXPECT_TRUE(
        is_caught(hunt(kOnlyWakes, 60000, publishers_alone<LooksTooEarly>(2, {3, 3})), "sleeps"));
}

}  // namespace
}  // namespace ndshare::schedule
