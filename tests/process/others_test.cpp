// What those who live find when others die or come in between: found by the crash campaign, kept
// here as one promise each.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "fault_world.h"
#include "fork_child.h"

namespace ndshare::test {
namespace {

using namespace std::chrono_literals;

bool is_asleep(pid_t pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string number, command, state;
    in >> number >> command >> state;
    return state == "S";
}

TEST(Client, the_share_of_a_killed_client_comes_back_to_the_others) {
    FaultWorld world;
    const Fields number{{"n", {.shape = {}, .dtype = "u8"}}}, answer{{"a", {.shape = {}}}};
    constexpr int kSlots = 8;
    Worker worker("s", number, answer, {.slots = kSlots});
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t other = fork_child([&] {
        Client client("s");
        const Call call = client.loan(30s);
        (void)!write(ready[1], "r", 1);
        pause();
        return 0;
    });
    char byte = 0;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    Client client("s");
    std::vector<Call> calls;
    for (int k = 0; k < kSlots / 2; ++k) calls.push_back(client.loan(30s));
    kill(other, SIGKILL);
    waitpid(other, nullptr, 0);
    // All at once, and also where there is no time to wait.
    calls.push_back(client.loan(0s));
    while (calls.size() < kSlots) calls.push_back(client.loan(30s));
    close(ready[0]);
    close(ready[1]);
}

TEST(FrameRef, finds_a_frame_that_this_process_holds_whoever_died_over_its_slot) {
    FaultWorld world;
    Publisher publisher("s", {.shape = {64}, .dtype = "u8", .slots = 4, .shared = true});
    Subscriber subscriber("s");
    const std::vector<std::uint64_t> values(64, 7);
    for (int k = 0; k < 4; ++k) publisher.put_bytes(std::as_bytes(std::span(values)));
    const FrameRef ref = subscriber.get(5s)->ref();
    const Frame held = ref.get_or_throw();
    // It wants the oldest slot, and does not live to see that it is pinned.
    const auto ended = world.run("publish", "s", "slot_ring.after_busy:kill:1");
    ASSERT_TRUE(ended.killed) << ended.output;
    const auto again = ref.get();
    ASSERT_TRUE(again);
    EXPECT_EQ((again->view<const std::uint64_t, 1>()(63)), 7U);
}

TEST(Create, adopting_goes_on_with_the_new_memory_when_the_name_is_replaced_meanwhile) {
    FaultWorld world;
    const Spec spec{.shape = {1}, .dtype = "u8"};
    auto old = Array::create("a", spec);
    auto writing = old.write();
    ASSERT_TRUE(writing);
    const pid_t adopter = fork_child([&] {
        const std::uint64_t five = 5;
        const auto array = Array::create("a", spec, std::as_bytes(std::span(&five, 1)),
                                         {.existing = Existing::adopt});
        return array.generation() > old.generation() ? 0 : 1;
    });
    // It waits for the writer, with a handle of the old memory.
    while (!is_asleep(adopter)) usleep(1000);
    const auto renewed = Array::create("a", spec, {.existing = Existing::replace});
    int status = 0;
    waitpid(adopter, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_EQ((renewed.view<const std::uint64_t, 1>()(0)), 5U);
    writing->cancel();
}

}  // namespace
}  // namespace ndshare::test
