// Every fault point that a scenario passes, each time it passes it (up to three), is killed at,
// stopped at and failed at by a real child; then the survivor must be able to go on.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "fault_world.h"
#include "scenarios.h"
#include "service_survivor.h"
#include "walk_cases.h"

namespace ndshare::test {
namespace {

using namespace std::chrono_literals;

const Spec kSpec{.shape = {64}, .dtype = "u8"};
constexpr const char* kName = "walk";
constexpr int kPassesMax = 3;

std::vector<std::uint64_t> all_of(std::uint64_t value) {
    return std::vector<std::uint64_t>(64, value);
}

void fill(Array& array, std::uint64_t value) {
    const auto values = all_of(value);
    array.assign(std::span<const std::uint64_t>(values));
}

// One value in all elements, or IncompleteWrite. Never a mixture, never a hang.
void expect_whole_or_told(const Array& array, Timeout timeout, bool may_time_out) {
    auto copy = all_of(0);
    try {
        if (!array.read(std::as_writable_bytes(std::span(copy)), timeout)) {
            EXPECT_TRUE(may_time_out) << "nobody who could hold it is left";
            return;
        }
        for (const auto value : copy) EXPECT_EQ(value, copy[0]) << "torn";
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::incomplete_write) << e.what();
    }
}

bool is_replaced(const Array& array) { return array.replaced(); }

// What a survivor with the array open must still be able to do, once the other one is dead.
void expect_survivor_goes_on(Array& mine) {
    expect_whole_or_told(mine, 30s, false);
    const std::string attributes = mine.attrs_json();
    EXPECT_TRUE(attributes == "{\"old\":1}" || attributes == "{\"new\":\"text\"}") << attributes;
    if (is_replaced(mine)) return;
    auto writing = mine.write(30s, true);
    ASSERT_TRUE(writing) << "the lock of a dead process was not recovered";
    for (auto& value : writing->view<std::uint64_t, 1>().span()) value = 77;
    writing->commit();
    auto copy = all_of(0);
    ASSERT_TRUE(mine.read(std::as_writable_bytes(std::span(copy)), 30s));
    EXPECT_EQ(copy[63], 77U);
    mine.update_attrs([](std::string_view) { return "{\"old\":1}"; });
}

class FaultWalk : public testing::TestWithParam<const char*> {
 protected:
    Array make_array() {
        auto array = Array::create(kName, kSpec,
                                   {.existing = Existing::replace, .attrs_json = "{\"old\":1}"});
        fill(array, 1);
        return array;
    }
    // Nothing of a dead child's attempt is left once everybody lets go.
    void expect_nothing_left(FaultWorld& world) {
        // A grandchild hears of its parent's end and ends as well, in its own time.
        const auto held = [] {
            const auto all = ls();
            return std::any_of(all.begin(), all.end(), [](auto& i) { return !i.persistent; });
        };
        for (int k = 0; k < 1000 && held(); ++k) usleep(10'000);
        for (const auto& info : ls()) {
            EXPECT_TRUE(info.persistent) << info.name << " is still held";
            unlink(std::string_view(info.name));
        }
        // The next one who looks into the book that only the child used cleans it.
        for (const auto& entry : std::filesystem::directory_iterator(world.folder())) {
            if (entry.path().filename().string().find("second") != 0) continue;
            setenv("NDSHARE_DIR", entry.path().c_str(), 1);
            EXPECT_TRUE(ls().empty());
            setenv("NDSHARE_DIR", world.folder().c_str(), 1);
        }
        EXPECT_EQ(world.names_left(), std::vector<std::string>{});
    }
};

TEST_P(FaultWalk, survivors_go_on_when_it_is_killed_at_any_point) {
    FaultWorld world;
    std::vector<Case> cases;
    {
        const auto array = make_array();
        cases = cases_of(world.trace(GetParam(), kName), kPassesMax);
    }
    ASSERT_FALSE(cases.empty());
    for (const auto& [point, pass] : cases) {
        SCOPED_TRACE(point + " pass " + std::to_string(pass));
        {
            auto mine = make_array();
            const auto ended =
                world.run(GetParam(), kName, point + ":kill:" + std::to_string(pass));
            EXPECT_TRUE(ended.killed || ended.exited);
            EXPECT_NE(ended.code, 4) << ended.output;
            expect_survivor_goes_on(mine);
            // A newcomer finds a living memory under the name, or none, and can make one.
            try {
                const auto other = Array::open(kName);
                expect_whole_or_told(other, 30s, false);
            } catch (const Error& e) {
                EXPECT_EQ(e.code(), Errc::not_found) << e.what();
            }
            auto fresh =
                Array::create(std::string(kName) + "-new", kSpec, {.existing = Existing::replace});
            EXPECT_TRUE(fresh.write(30s));
        }
        expect_nothing_left(world);
    }
}

TEST_P(FaultWalk, others_go_on_or_time_out_while_it_is_stopped_and_it_ends_well_after) {
    FaultWorld world;
    std::vector<Case> cases;
    {
        const auto array = make_array();
        cases = cases_of(world.trace(GetParam(), kName), kPassesMax);
    }
    for (const auto& [point, pass] : cases) {
        if (pass > 1) continue;
        SCOPED_TRACE(point);
        {
            auto mine = make_array();
            auto stopped = world.run(GetParam(), kName, point + ":stop:1");
            // Where two processes meet, not every run comes by this point.
            for (int again = 0; again < 20 && !stopped.stopped; ++again) {
                stopped = world.run(GetParam(), kName, point + ":stop:1");
            }
            EXPECT_TRUE(stopped.stopped);
            if (stopped.stopped) {
                expect_whole_or_told(mine, 60ms, true);
                if (!is_replaced(mine)) {
                    try {
                        // A stopped writer keeps its lock; anybody else's is free.
                        if (auto writing = mine.write(60ms, true)) {
                            for (auto& v : writing->view<std::uint64_t, 1>().span()) v = 5;
                            writing->commit();
                        }
                    } catch (const Error& e) {
                        EXPECT_EQ(e.code(), Errc::replaced) << e.what();
                    }
                }
                auto elsewhere = Array::create({}, kSpec);  // another name is not disturbed
                fill(elsewhere, 3);
                auto ended = world.resume(stopped);
                // Each process of the scenario has the plan: another one may stop as well.
                while (ended.stopped) ended = world.resume(ended);
                EXPECT_TRUE(ended.exited);
                EXPECT_TRUE(ended.code == 0 || ended.code == 3) << ended.output;
            }
            expect_survivor_goes_on(mine);
        }
        expect_nothing_left(world);
    }
}

TEST_P(FaultWalk, an_error_at_any_point_loses_nothing) {
    FaultWorld world;
    std::vector<Case> cases;
    {
        const auto array = make_array();
        cases = cases_of(world.trace(GetParam(), kName), kPassesMax);
    }
    for (const auto& [point, pass] : cases) {
        SCOPED_TRACE(point + " pass " + std::to_string(pass));
        {
            auto mine = make_array();
            const auto ended =
                world.run(GetParam(), kName, point + ":fail:" + std::to_string(pass));
            EXPECT_TRUE(ended.exited) << "an error must not end a process";
            EXPECT_TRUE(ended.code == 0 || ended.code == 3) << ended.code << ended.output;
            expect_survivor_goes_on(mine);
        }
        expect_nothing_left(world);
    }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, FaultWalk, testing::ValuesIn(kArrayScenarios),
                         [](const auto& scenario) { return std::string(scenario.param); });

TEST(FaultWalkCoverage, every_fault_point_of_the_source_is_walked) {
    std::set<std::string> passed;
    for (const char* scenario : kArrayScenarios) {
        FaultWorld world;
        auto array = Array::create(kName, kSpec, {.attrs_json = "{\"old\":1}"});
        array.fileno();
        for (const auto& point : world.trace(scenario, kName)) passed.insert(point);
    }
    for (const char* scenario : kStreamScenarios) {
        FaultWorld world;
        Publisher publisher(kName, {.shape = {64}, .dtype = "u8", .slots = 4, .shared = true});
        const Subscriber sleeper(kName);
        for (const auto& point : world.trace(scenario, kName)) passed.insert(point);
    }
    // A publisher that died with a slot: the next one resolves it.
    {
        FaultWorld world;
        Publisher publisher(kName, {.shape = {64}, .dtype = "u8", .slots = 4, .shared = true});
        (void)world.run("publish", kName, "slot_ring.before_commit:kill:1");
        for (const auto& point : world.trace("publish", kName)) passed.insert(point);
    }
    for (const char* scenario : kServiceScenarios) {
        FaultWorld world;
        const ServiceSurvivor survivor(kName, std::string(scenario) != "serve");
        for (const auto& point : world.trace(scenario, kName)) passed.insert(point);
    }
    const std::regex call("NDSHARE_FAULT_POINT(?:_QUIET)?\\(\"([^\"]+)\"\\)");
    for (const auto& entry : std::filesystem::recursive_directory_iterator(NDSHARE_SOURCE)) {
        if (!entry.is_regular_file() || entry.path().filename() == "fault.h") continue;
        std::stringstream text;
        text << std::ifstream(entry.path()).rdbuf();
        const std::string source = text.str();
        for (std::sregex_iterator at(source.begin(), source.end(), call), end; at != end; ++at) {
            EXPECT_TRUE(passed.contains((*at)[1])) << (*at)[1] << " in " << entry.path().filename();
        }
    }
}

}  // namespace
}  // namespace ndshare::test
