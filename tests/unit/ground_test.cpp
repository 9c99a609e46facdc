// The real ground: sleeps that end with a wake, or with their time.
#include "sync/ground.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <thread>

#include "platform/clock.h"
#include "platform/cpu.h"

namespace ndshare::sync {
namespace {

constexpr std::int64_t kMs = 1'000'000;

TEST(RealGround, sleeps_while_the_word_is_as_expected) {
    layout::Word32 word{};
    const std::int64_t begin = platform::monotonic_ns();
    Ground::sleep(word, 1, 10'000 * kMs);
    EXPECT_LT(platform::monotonic_ns() - begin, 5'000 * kMs);
    const std::int64_t later = platform::monotonic_ns();
    Ground::sleep(word, 0, 20 * kMs);
    EXPECT_GE(platform::monotonic_ns() - later, 19 * kMs);
}

// A sleep that no wake reaches ends later than the test looks.
void wakes(void (*wake)(layout::Word32&)) {
    layout::Word32 word{};
    std::atomic<bool> awake{false};
    std::thread sleeper([&] {
        Ground::sleep(word, 0, 3'000 * kMs);
        awake = true;
    });
    const std::int64_t begin = platform::monotonic_ns();
    // It may not be asleep yet.
    while (!awake && platform::monotonic_ns() - begin < 2'000 * kMs) {
        wake(word);
        std::this_thread::yield();
    }
    EXPECT_TRUE(awake);
    sleeper.join();
}

TEST(RealGround, wakes_all) {
    wakes([](layout::Word32& word) { Ground::wake_all(word); });
}
TEST(RealGround, wakes_one) {
    wakes([](layout::Word32& word) { Ground::wake_one(word); });
}

// The calling thread stays on the number'th of the CPUs it may use.
void stay_on_cpu(int number) {
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) != 0) return;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &all) || number-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

// Two who each store and then look: one of them sees the other's. Without the fence a CPU that
// keeps its stores back for a moment shows neither, often where the two have a CPU each.
TEST(RealFence, lets_one_of_two_see_the_others_store) {
    if (platform::online_cpu_count() < 2) GTEST_SKIP() << "one CPU sees its own stores";
    struct alignas(64) Cell {
        layout::Word32 word{};
        std::uint32_t saw = 0;  // of the other's
    };
    constexpr int kRounds = 10'000;
    constexpr std::size_t kCells = 64;
    struct Side {
        std::array<Cell, kCells> cells;
        alignas(64) std::atomic<int> round{0};
    };
    Side sides[2];
    int neither = 0;
    const auto play = [&](Side& mine, Side& other, bool is_judge) {
        const auto meet = [&](int round) {
            mine.round.store(round);
            for (int looks = 0; other.round.load() < round; ++looks) {
                if (looks > 1000) std::this_thread::yield();
            }
        };
        for (int round = 1; round <= kRounds; ++round) {
            const auto now = static_cast<std::uint32_t>(round);
            meet(2 * round);
            for (std::size_t k = 0; k < kCells; ++k) {
                Ground::store_relaxed(mine.cells[k].word, now);
                Ground::fence_seq_cst();
                mine.cells[k].saw = Ground::load_relaxed(other.cells[k].word);
            }
            meet(2 * round + 1);
            for (std::size_t k = 0; is_judge && k < kCells; ++k) {
                if (mine.cells[k].saw != now && other.cells[k].saw != now) ++neither;
            }
        }
    };
    std::thread one([&] {
        stay_on_cpu(0);
        play(sides[0], sides[1], true);
    });
    std::thread two([&] {
        stay_on_cpu(1);
        play(sides[1], sides[0], false);
    });
    one.join();
    two.join();
    EXPECT_EQ(neither, 0);
}

}  // namespace
}  // namespace ndshare::sync
