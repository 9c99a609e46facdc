// The real ground: sleeps that end with a wake, or with their time.
#include "sync/ground.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "platform/clock.h"

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

}  // namespace
}  // namespace ndshare::sync
