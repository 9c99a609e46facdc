// Ends of a stream under weak memory: who waits for peers, and who remembers that all was read.
#include "schedule/explore.h"
#include "schedule/stream_model.h"

namespace ndshare::schedule {
namespace {

constexpr std::uint64_t kBegin = 1000;

// As Publisher::wait_subscribers.
TEST(Ends, whoever_waits_for_peers_sees_each_that_joins) {
    const auto setup = [](World& world) {
        world.spawn({.name = "waiter", .row = 0}, [&world](Process& who) {
            SimGround ground(world, who.row);
            const layout::StreamControl control(world.control().base(), 2);
            const sync::Ends<SimGround> ends(control, ground);
            for (;;) {
                const std::uint32_t joins = ends.joins();
                if (ends.subscriber_count() == 1) break;
                ground.sleep(control.words().joins, joins, platform::kForeverNs);
            }
            Gate<SimGround>(world, who).open();
        });
        world.spawn({.name = "newcomer", .row = 1}, [&world](Process& who) {
            SimGround ground(world, who.row);
            sync::Ends<SimGround> ends({world.control().base(), 2}, ground);
            (void)ends.take(who.owner, layout::kEndInOrder);
            Gate<SimGround>(world, who).pass();  // there until it was seen
        });
    };
    const Plan plan{.slices = Slices::never, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 10000, setup)));
}

// It knows of a time when nobody was there, and does not overwrite what a newcomer begins with.
TEST(Ends, a_publisher_that_remembers_that_all_was_read_notices_a_newcomer) {
    const auto setup = [](World& world) {
        auto truth = std::make_shared<StreamTruth>(world, 2, kBegin);
        world.spawn({.name = "publisher", .row = 0}, [&world, truth](Process& who) {
            StreamPeer<SimGround> peer(world, *truth, who);
            for (int k = 0; k < 4; ++k) (void)peer.publish(true);
        });
        world.spawn({.name = "reader", .row = 1}, [&world, truth](Process& who) {
            StreamPeer<SimGround> peer(world, *truth, who);
            peer.join(layout::kEndInOrder);
            for (int k = 0; k < 3; ++k) {
                (void)peer.get();
                world.require(peer.lost() == 0, "a block stream lost a frame");
            }
            peer.leave();
        });
    };
    const Plan plan{.slices = Slices::when_idle, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 20000, setup)));
}

}  // namespace
}  // namespace ndshare::schedule
