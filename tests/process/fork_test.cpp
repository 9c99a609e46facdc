// What fork() does to handles: the child goes on under a place of its own, and each side's death is
// its own.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "fault_world.h"
#include "fork_child.h"

namespace ndshare::test {
namespace {

using namespace std::chrono_literals;
const Spec kSpec{.shape = {4}, .dtype = "i8"};

int wait_for(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void set(Array& array, std::int64_t value) {
    const std::int64_t values[4] = {value, value, value, value};
    array.assign(std::span<const std::int64_t>(values));
}

TEST(Fork, parent_and_child_are_two_peers_and_see_one_memory) {
    FaultWorld world;
    auto array = Array::create("shared", kSpec);
    const pid_t child = fork_child([&] {
        const bool two = info("shared").holders.size() == 2;
        set(array, 3);
        return two ? 0 : 1;
    });
    EXPECT_EQ(array.wait(30s), 1U);
    EXPECT_EQ(wait_for(child), 0);
    EXPECT_EQ((array.view<const std::int64_t, 1>()(2)), 3);
    EXPECT_EQ(info("shared").holders.size(), 1U);
}

TEST(Fork, a_child_keeps_name_and_memory_after_its_parent_was_killed) {
    FaultWorld world;
    int ready[2], go[2];
    ASSERT_EQ(pipe(ready), 0);
    ASSERT_EQ(pipe(go), 0);
    const pid_t parent = fork_child([&] {
        auto array = Array::create("orphan", kSpec);
        set(array, 9);
        fork_child([&] {
            (void)!write(ready[1], "x", 1);
            char byte = 0;
            (void)!read(go[0], &byte, 1);
            return array.view<const std::int64_t, 1>()(0) == 9 ? 0 : 1;
        });
        pause();
        return 0;
    });
    char byte = 0;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    kill(parent, SIGKILL);
    EXPECT_EQ(wait_for(parent), -SIGKILL);
    {
        const auto found = Array::open("orphan");  // by the search: the link led to the dead
        EXPECT_EQ((found.view<const std::int64_t, 1>()(3)), 9);
        EXPECT_EQ(info("orphan").counters.at("peers"), 2U);
        (void)!write(go[1], "x", 1);
    }
}

TEST(Fork, a_write_begun_before_the_fork_belongs_to_the_parent_alone) {
    FaultWorld world;
    auto array = Array::create("half", kSpec);
    auto writing = array.write();
    ASSERT_TRUE(writing);
    const pid_t child = fork_child([&] {
        bool refused = false;
        try {
            writing->commit();
        } catch (const Error& e) {
            refused = e.code() == Errc::invalid_argument;
        }
        writing.reset();  // does nothing here
        return refused && info("half").counters.at("writing") == 1 ? 0 : 1;
    });
    EXPECT_EQ(wait_for(child), 0);
    writing->commit();
    EXPECT_EQ(array.version(), 1U);
}

// What a signal handler of a Python program may do in the middle of an operation.
pid_t g_forked = -1;

TEST(Fork, a_child_made_in_a_wait_for_a_lock_never_takes_its_parent_s_place) {
    FaultWorld world;
    auto array = Array::create("forked", kSpec);
    std::thread holder([&] {
        auto write = array.write();
        std::this_thread::sleep_for(300ms);
        write->commit();
    });
    std::this_thread::sleep_for(50ms);
    g_forked = -1;
    const pid_t parent = getpid();
    set_interrupt_check([] {
        if (g_forked < 0) g_forked = fork();
    });
    int took = 0;  // 1: inside; 2: told that it was forked
    try {
        auto write = array.write(30s);
        took = 1;
        if (write && getpid() == parent) write->commit();
    } catch (const Error&) {
        took = 2;
    }
    if (getpid() != parent) _exit(took == 2 ? 0 : 1);
    set_interrupt_check(nullptr);
    holder.join();
    EXPECT_EQ(took, 1);
    ASSERT_GT(g_forked, 0);
    EXPECT_EQ(wait_for(g_forked), 0);
    set(array, 5);
    EXPECT_EQ((array.view<const std::int64_t, 1>()(1)), 5);
}

TEST(Fork, a_child_made_while_attributes_change_leaves_the_change_to_its_parent) {
    FaultWorld world;
    auto array = Array::create("forked", kSpec);
    const pid_t parent = getpid();
    int took = 0;
    pid_t child = -1;
    try {
        array.update_attrs([&](std::string_view) {
            child = fork();
            if (child > 0) std::this_thread::sleep_for(200ms);  // the child goes on first
            return std::string(child > 0 ? "{\"a\": 1}" : "{\"b\": 2}");
        });
        took = 1;
    } catch (const Error&) {
        took = 2;
    }
    if (getpid() != parent) _exit(took == 2 ? 0 : 1);
    EXPECT_EQ(took, 1);
    EXPECT_EQ(wait_for(child), 0);
    EXPECT_EQ(array.attrs_json(), "{\"a\": 1}");
}

TEST(Fork, three_hundred_parents_killed_at_random_leave_nothing_locked) {
    FaultWorld world;
    for (int round = 0; round < 300; ++round) {
        auto array = Array::create("storm-" + std::to_string(round), kSpec);
        const pid_t parent = fork_child([&] {
            for (;;) {
                fork_child([&] {
                    set(array, 1);
                    return 0;
                });
                set(array, 2);
                while (waitpid(-1, nullptr, WNOHANG) > 0) {
                }
            }
            return 0;
        });
        std::this_thread::sleep_for(std::chrono::microseconds(100 + 37 * (round % 50)));
        kill(parent, SIGKILL);
        wait_for(parent);
        auto writing = array.write(30s, true);
        ASSERT_TRUE(writing) << "round " << round;
        writing->commit();
    }
}

TEST(Fork, many_threads_work_while_another_forks) {
    FaultWorld world;
    auto array = Array::create("threads", kSpec);
    std::atomic<bool> stop{false};
    std::vector<std::thread> workers;
    for (int k = 0; k < 3; ++k) {
        workers.emplace_back([&] {
            while (!stop) {
                auto own = Array::open("threads", {.writeable = true});
                set(own, 4);
            }
        });
    }
    for (int round = 0; round < 50; ++round) {
        const pid_t child = fork_child([&] {
            set(array, 5);
            return 0;
        });
        EXPECT_EQ(wait_for(child), 0);
    }
    stop = true;
    for (auto& worker : workers) worker.join();
}

}  // namespace
}  // namespace ndshare::test
