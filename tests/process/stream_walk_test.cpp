// The fault walk for streams: whatever happens to a publisher or a subscriber at any point, the
// others go on, nothing is torn, and everything comes back.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "fault_world.h"
#include "scenarios.h"
#include "walk_cases.h"

namespace ndshare::test {
namespace {

using namespace std::chrono_literals;

constexpr const char* kName = "walk";

struct Mine {
    Publisher publisher{kName, {.shape = {64}, .dtype = "u8", .slots = 4, .shared = true}};
    Subscriber subscriber{kName};

    void put(std::uint64_t value) {
        const std::vector<std::uint64_t> values(64, value);
        publisher.put(std::span<const std::uint64_t>(values));
    }
    // Takes what is there; nothing of it may be torn, and the numbers go up.
    void drain() {
        std::uint64_t last = 0;
        while (const auto frame = subscriber.get(0s)) {
            const auto view = frame->view<const std::uint64_t, 1>();
            for (const auto value : view.span()) EXPECT_EQ(value, view(0)) << "torn";
            EXPECT_GT(frame->seq(), last);
            last = frame->seq();
        }
    }
    void expect_goes_on() {
        drain();
        for (std::uint64_t k = 1000; k < 1012; ++k) {
            put(k);
            const auto frame = subscriber.get(30s);
            ASSERT_TRUE(frame) << "nothing comes any more";
            EXPECT_EQ((frame->view<const std::uint64_t, 1>()(63)), k);
        }
    }
    // Slots of the dead too: the history is as long as it was. A child of the dead one may live
    // for a moment still, and hold what it holds.
    void expect_all_slots() {
        std::size_t found = 0;
        for (int look = 0; look < 1000 && found != 4; ++look) {
            if (look > 0) usleep(10'000);
            for (std::uint64_t k = 0; k < 40; ++k) put(k);
            Subscriber late(kName);
            found = 0;
            while (late.get(0s)) ++found;
        }
        EXPECT_EQ(found, 4U);
    }
};

void expect_nothing_left(FaultWorld& world) {
    for (int k = 0; k < 1000 && !ls().empty(); ++k) usleep(10'000);
    for (const auto& info : ls()) ADD_FAILURE() << info.name << " is still held";
    EXPECT_EQ(world.names_left(), std::vector<std::string>{});
}

class StreamWalk : public testing::TestWithParam<const char*> {
 protected:
    static std::vector<Case> cases(FaultWorld& world, int passes_max) {
        const Mine mine;
        return cases_of(world.trace(GetParam(), kName), passes_max);
    }
};

TEST_P(StreamWalk, survivors_go_on_when_it_is_killed_at_any_point) {
    FaultWorld world;
    for (const auto& [point, pass] : cases(world, 2)) {
        SCOPED_TRACE(point + " pass " + std::to_string(pass));
        {
            Mine mine;
            mine.put(1);
            const auto ended =
                world.run(GetParam(), kName, point + ":kill:" + std::to_string(pass));
            EXPECT_TRUE(ended.killed || ended.exited);
            EXPECT_NE(ended.code, 4) << ended.output;
            mine.expect_goes_on();
            mine.expect_all_slots();
        }
        expect_nothing_left(world);
    }
}

TEST_P(StreamWalk, others_go_on_while_it_is_stopped_and_it_ends_well_after) {
    FaultWorld world;
    for (const auto& [point, pass] : cases(world, 1)) {
        SCOPED_TRACE(point);
        {
            Mine mine;
            mine.put(1);
            auto stopped = world.run(GetParam(), kName, point + ":stop:1");
            // Where two processes meet, not every run comes by this point.
            for (int again = 0; again < 20 && !stopped.stopped; ++again) {
                stopped = world.run(GetParam(), kName, point + ":stop:1");
            }
            EXPECT_TRUE(stopped.stopped);
            mine.expect_goes_on();
            auto ended = stopped;
            // Each process of the scenario has the plan: another one may stop as well.
            while (ended.stopped) ended = world.resume(ended);
            EXPECT_TRUE(ended.exited);
            EXPECT_TRUE(ended.code == 0 || ended.code == 3) << ended.code << ended.output;
            mine.expect_goes_on();
        }
        expect_nothing_left(world);
    }
}

TEST_P(StreamWalk, an_error_at_any_point_loses_nothing) {
    FaultWorld world;
    for (const auto& [point, pass] : cases(world, 2)) {
        SCOPED_TRACE(point + " pass " + std::to_string(pass));
        {
            Mine mine;
            mine.put(1);
            const auto ended =
                world.run(GetParam(), kName, point + ":fail:" + std::to_string(pass));
            EXPECT_TRUE(ended.exited) << "an error must not end a process";
            EXPECT_TRUE(ended.code == 0 || ended.code == 3) << ended.code << ended.output;
            mine.expect_goes_on();
            mine.expect_all_slots();
        }
        expect_nothing_left(world);
    }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, StreamWalk, testing::ValuesIn(kStreamScenarios),
                         [](const auto& scenario) { return std::string(scenario.param); });

}  // namespace
}  // namespace ndshare::test
