// Who has a name when somebody dies in the middle of changing it: the one who had it, or the one
// who was to have it, never nobody, and never one who lost it before.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "fault_world.h"

namespace ndshare::test {
namespace {

using namespace std::chrono_literals;

const Spec kSpec{.shape = {64}, .dtype = "u8"};
constexpr const char* kName = "a";

class Names : public testing::Test {
 protected:
    FaultWorld world;
    void kill_stopped(const FaultWorld::Ended& child) {
        kill(child.stopped_pid, SIGKILL);
        waitpid(child.pid, nullptr, 0);
    }
};

// 0: the name leads nowhere.
std::uint64_t generation_of(const std::string& name) {
    try {
        return Array::open(name).generation();
    } catch (const Error& e) {
        if (e.code() != Errc::not_found) throw;
        return 0;
    }
}

bool may_be_made(const std::string& name) {
    try {
        (void)Array::create(name, kSpec);
        return true;
    } catch (const Error& e) {
        if (e.code() != Errc::exists) throw;
        return false;
    }
}

bool says_replaced(Array& array) {
    try {
        auto writing = array.write(30s, true);
        if (writing) writing->commit();
        return false;
    } catch (const Error& e) {
        if (e.code() != Errc::replaced) throw;
        return true;
    }
}

// ---- letting go ---------------------------------------------------------------------------------

TEST_F(Names, what_was_opened_while_its_last_holder_let_go_and_died_keeps_its_name) {
    auto leaver = world.run("create", kName, "book.before_door:stop:1,book.after_unlinked:kill:1");
    ASSERT_TRUE(leaver.stopped);
    auto mine = Array::open("a-new");
    (void)world.resume(leaver);
    EXPECT_FALSE(may_be_made("a-new"));
    EXPECT_EQ(generation_of("a-new"), mine.generation());
    mine.close();
    EXPECT_TRUE(may_be_made("a-new"));  // gone with the last one
}

TEST_F(Names, nobody_joins_while_the_last_holder_takes_the_name_away) {
    for (const char* point : {"book.after_door", "book.after_unlinked", "book.after_link"}) {
        auto leaver = world.run("create", kName, std::string(point) + ":stop:1");
        ASSERT_TRUE(leaver.stopped) << point;
        EXPECT_EQ(generation_of("a-new"), 0U) << point;
        leaver = world.resume(leaver);
        EXPECT_TRUE(leaver.exited && leaver.code == 0) << point << leaver.output;
        EXPECT_TRUE(may_be_made("a-new")) << point;
    }
}

// ---- memory and files ---------------------------------------------------------------------------

TEST_F(Names, memory_that_took_a_files_name_keeps_it_when_its_maker_dies_before_the_file_goes) {
    auto file = Array::create(kName, kSpec, {.sharing = {.persistent = true}});
    const auto maker = world.run("replace", kName, "book.after_rename:stop:1");
    ASSERT_TRUE(maker.stopped);
    const auto mine = Array::open(kName);
    ASSERT_GT(mine.generation(), file.generation());
    kill_stopped(maker);
    EXPECT_EQ(generation_of(kName), mine.generation());
    EXPECT_TRUE(says_replaced(file));
}

TEST_F(Names, a_file_keeps_its_name_when_what_was_to_replace_it_died_with_its_maker) {
    auto file = Array::create(kName, kSpec, {.sharing = {.persistent = true}});
    for (const char* point : {"book.after_mark", "book.before_rename", "book.after_rename"}) {
        EXPECT_TRUE(world.run("replace", kName, std::string(point) + ":kill:1").killed) << point;
        EXPECT_FALSE(says_replaced(file)) << point;
        EXPECT_EQ(generation_of(kName), file.generation()) << point;
    }
}

TEST_F(Names,
       a_file_that_took_the_name_of_memory_keeps_it_when_its_maker_dies_before_the_link_goes) {
    auto memory = Array::create(kName, kSpec);
    EXPECT_TRUE(world.run("replace_by_file", kName, "book.after_file_rename:kill:1").killed);
    const std::uint64_t generation = generation_of(kName);
    EXPECT_GT(generation, memory.generation());
    EXPECT_TRUE(says_replaced(memory));
    memory.close();
    EXPECT_EQ(generation_of(kName), generation);
}

// ---- unlinking ----------------------------------------------------------------------------------

TEST_F(Names, what_was_unlinked_by_somebody_who_died_does_not_come_back) {
    for (const char* scenario : {"unlink", "unlink_by_name"}) {
        for (const char* point :
             {"book.after_state", "book.after_file_remove", "book.after_remove"}) {
            for (const bool persistent : {false, true}) {
                SCOPED_TRACE(std::string(scenario) + " " + point + (persistent ? " file" : ""));
                auto mine = Array::create(kName, kSpec, {.sharing = {.persistent = persistent}});
                EXPECT_TRUE(world.run(scenario, kName, std::string(point) + ":kill:1").killed);
                EXPECT_EQ(generation_of(kName), 0U);
                // A search for other holders of a dead one's memory does not find it either.
                EXPECT_TRUE(world.run("replace", kName, "book.after_rename:kill:1").killed);
                EXPECT_EQ(generation_of(kName), 0U);
            }
        }
    }
    EXPECT_EQ(world.names_left(), std::vector<std::string>{});
}

// ---- replacing ----------------------------------------------------------------------------------

TEST_F(Names, an_old_handle_is_told_by_its_next_write_when_the_replacer_died_before_telling) {
    auto mine = Array::create(kName, kSpec);
    const auto maker = world.run("replace", kName, "book.after_rename:stop:1");
    ASSERT_TRUE(maker.stopped);
    const auto renewed = Array::open(kName);
    kill_stopped(maker);
    EXPECT_TRUE(says_replaced(mine));
    EXPECT_EQ(generation_of(kName), renewed.generation());
}

TEST_F(Names, an_old_handle_goes_on_when_the_replacer_died_before_the_change) {
    auto mine = Array::create(kName, kSpec);
    for (const char* point : {"book.after_mark", "book.before_rename"}) {
        EXPECT_TRUE(world.run("replace", kName, std::string(point) + ":kill:1").killed) << point;
        EXPECT_FALSE(says_replaced(mine)) << point;
        EXPECT_FALSE(mine.replaced()) << point;
        EXPECT_EQ(generation_of(kName), mine.generation()) << point;
    }
}

TEST_F(Names, a_replacer_that_stands_still_before_the_change_stops_nobody) {
    auto mine = Array::create(kName, kSpec);
    auto maker = world.run("replace", kName, "book.after_mark:stop:1");
    ASSERT_TRUE(maker.stopped);
    EXPECT_FALSE(says_replaced(mine));
    EXPECT_EQ(generation_of(kName), mine.generation());
    maker = world.resume(maker);
    EXPECT_TRUE(maker.exited && maker.code == 0) << maker.output;
    EXPECT_TRUE(says_replaced(mine));
}

}  // namespace
}  // namespace ndshare::test
