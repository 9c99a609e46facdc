// The fault walk for services: whatever happens to a worker or a client at any point, every call of
// the others ends with its own answer, and all slots come back.
#include <gtest/gtest.h>
#include <unistd.h>

#include "fault_world.h"
#include "scenarios.h"
#include "service_survivor.h"
#include "walk_cases.h"

namespace ndshare::test {
namespace {

constexpr const char* kName = "walk";

void expect_nothing_left(FaultWorld& world) {
    for (int k = 0; k < 1000 && !ls().empty(); ++k) usleep(10'000);
    for (const auto& info : ls()) ADD_FAILURE() << info.name << " is still held";
    EXPECT_EQ(world.names_left(), std::vector<std::string>{});
}

class ServiceWalk : public testing::TestWithParam<const char*> {
 protected:
    static bool works_at_once() { return std::string(GetParam()) != "serve"; }
    static std::vector<Case> cases(FaultWorld& world, int passes_max) {
        const ServiceSurvivor mine(kName, works_at_once());
        return cases_of(world.trace(GetParam(), kName), passes_max);
    }
};

TEST_P(ServiceWalk, every_call_is_answered_when_it_is_killed_at_any_point) {
    FaultWorld world;
    for (const auto& [point, pass] : cases(world, 2)) {
        SCOPED_TRACE(point + " pass " + std::to_string(pass));
        {
            ServiceSurvivor mine(kName, works_at_once());
            const auto ended =
                world.run(GetParam(), kName, point + ":kill:" + std::to_string(pass));
            EXPECT_TRUE(ended.killed || ended.exited);
            EXPECT_NE(ended.code, 4) << ended.output;
            mine.expect_all_answers();
            mine.expect_all_slots();
        }
        expect_nothing_left(world);
    }
}

TEST_P(ServiceWalk, others_go_on_while_it_is_stopped_and_it_ends_well_after) {
    FaultWorld world;
    for (const auto& [point, pass] : cases(world, 1)) {
        SCOPED_TRACE(point);
        {
            ServiceSurvivor mine(kName, works_at_once());
            auto ended = world.run(GetParam(), kName, point + ":stop:1");
            // What a stopped worker has stays its own; whatever else is asked goes on.
            works_at_once() ? mine.expect_all_answers() : mine.expect_new_answers();
            while (ended.stopped) ended = world.resume(ended);
            EXPECT_TRUE(ended.exited);
            EXPECT_TRUE(ended.code == 0 || ended.code == 3) << ended.code << ended.output;
            mine.expect_all_answers();
            mine.expect_all_slots();
        }
        expect_nothing_left(world);
    }
}

TEST_P(ServiceWalk, an_error_at_any_point_loses_nothing) {
    FaultWorld world;
    for (const auto& [point, pass] : cases(world, 2)) {
        SCOPED_TRACE(point + " pass " + std::to_string(pass));
        {
            ServiceSurvivor mine(kName, works_at_once());
            const auto ended =
                world.run(GetParam(), kName, point + ":fail:" + std::to_string(pass));
            EXPECT_TRUE(ended.exited) << "an error must not end a process";
            EXPECT_TRUE(ended.code == 0 || ended.code == 3) << ended.code << ended.output;
            mine.expect_all_answers();
            mine.expect_all_slots();
        }
        expect_nothing_left(world);
    }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, ServiceWalk, testing::ValuesIn(kServiceScenarios),
                         [](const auto& scenario) { return std::string(scenario.param); });

}  // namespace
}  // namespace ndshare::test
