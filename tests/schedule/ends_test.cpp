// Ends of a stream under weak memory: who waits for peers, and who remembers that all was read.
#include <memory>
#include <optional>

#include "schedule/explore.h"
#include "schedule/stream_model.h"

namespace ndshare::schedule {
namespace {

constexpr std::uint64_t kBegin = 1000;

// As Publisher::wait_subscribers.
Setup one_who_waits_for_a_peer(bool comes_late) {
    return [comes_late](World& world) {
        world.spawn({.name = "waiter", .row = 0}, [&world, comes_late](Process& who) {
            SimGround ground(world, who.row);
            const layout::StreamControl control(world.control().base(), 2);
            while (comes_late && world.last(control.words().joins) == 0) world.pause();
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
}
TEST(Ends, whoever_waits_for_peers_sees_each_that_joins) {
    const Plan plan{.slices = Slices::never, .weak_memory = true};
    for (const bool late : {false, true}) {
        EXPECT_TRUE(holds(explore(plan, 10000, one_who_waits_for_a_peer(late))));
    }
}

// It knows of a time when nobody was there, and looks at no cursor of those frames.
TEST(Ends, a_publisher_that_remembers_that_all_was_read_sees_one_who_has_joined) {
    const auto setup = [](World& world) {
        auto truth = std::make_shared<StreamTruth>(world, 2, kBegin);
        auto begins_after = std::make_shared<std::optional<std::uint64_t>>();
        world.spawn({.name = "publisher", .row = 0}, [&world, begins_after](Process& who) {
            SimGround ground(world, who.row);
            const layout::StreamControl control(world.control().base(), 2);
            sync::SlotRing<SimGround> ring(control, ground);
            sync::ClaimMemory memory;
            for (int k = 0; k < 6; ++k) {
                const auto unread_after = *begins_after;
                const auto claim = ring.claim(who.owner, true, false, memory);
                if (!claim) return;
                const auto was = sync::seq_of(world.last(control.slot(claim.slot).word));
                world.require(!unread_after || sync::seq_distance(was, *unread_after) <= 0,
                              "a frame was overwritten that one who had joined had not read");
                (void)ring.publish(who.owner, claim.slot);
            }
        });
        world.spawn({.name = "reader", .row = 1}, [&world, truth, begins_after](Process& who) {
            // The third frame was the first to overwrite another.
            while (sync::seq_of(world.last(world.control().words().latest)) < kBegin + 3) {
                world.pause();
            }
            StreamPeer<SimGround> peer(world, *truth, who);
            peer.join(layout::kEndInOrder);
            *begins_after = peer.cursor();
        });
    };
    const Plan plan{.slices = Slices::when_idle, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 20000, setup)));
}

}  // namespace
}  // namespace ndshare::schedule
