// The lock between processes, step by step: what a taker, a releaser and a recovery do to the word,
// and whom they wake. What interleaves is in tests/schedule.
#include "sync/write_lock.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/racing_ground.h"

namespace ndshare::sync {
namespace {

using support::RacingGround;

class OneLock : public testing::Test {
 protected:
    const std::uint64_t me = owner_word(3, 7), other = owner_word(5, 9), former = owner_word(3, 6);
    layout::Word64 word{};
    RacingGround ground;
    WriteLock<RacingGround> lock{word, ground};
    SpinBudget spin{0};
    Patience none{0, spin}, patience{platform::kForeverNs, spin};

    void put(std::uint64_t value) { ground.store_relaxed(word, value); }
    std::uint64_t now() const { return ground.load_relaxed(word); }
};

TEST_F(OneLock, that_is_free_is_taken_without_a_mark_and_let_go_without_a_wake) {
    EXPECT_TRUE(lock.acquire(me, none));
    EXPECT_EQ(now(), me);
    lock.release(me);
    EXPECT_EQ(now(), 0U);
    EXPECT_FALSE(ground.woke(&word));
}

TEST_F(OneLock, that_somebody_sleeps_on_is_let_go_with_a_wake) {
    put(me | kContended);
    lock.release(me);
    EXPECT_EQ(now(), 0U);
    EXPECT_TRUE(ground.woke(&word));
}

TEST_F(OneLock, that_another_has_is_marked_before_one_sleeps) {
    put(other);
    ground.meanwhile = [&] {
        EXPECT_EQ(now(), other | kContended);
        put(0);
    };
    EXPECT_TRUE(lock.acquire(me, patience));
    EXPECT_EQ(now(), me | kContended);  // others may sleep still
    EXPECT_EQ(ground.slept_ns.size(), 1U);
}

TEST_F(OneLock, that_comes_free_before_it_is_marked_is_taken_without_a_sleep) {
    put(other);
    // The first exchange is the try, the second the mark.
    ground.before_exchange(2, [&] { put(0); });
    EXPECT_TRUE(lock.acquire(me, patience));
    EXPECT_TRUE(ground.slept_ns.empty());
}

TEST_F(OneLock, of_a_dead_one_is_taken_by_one_who_has_no_time) {
    put(other);
    ground.dead.insert(other);
    EXPECT_TRUE(lock.acquire(me, none));
}

TEST_F(OneLock, that_names_its_taker_is_its_takers) {
    put(former);
    EXPECT_TRUE(lock.acquire(me, none));
    EXPECT_EQ(ground.asked, 0);
    EXPECT_EQ(owner_of(now()), me);
}

TEST_F(OneLock, that_is_no_longer_ours_is_not_let_go) {
    put(me);
    (void)lock;
    put(other);
    lock.release(me);
    EXPECT_EQ(now(), other);
    EXPECT_FALSE(ground.woke(&word));
}

TEST_F(OneLock, of_a_dead_one_is_freed_with_a_wake_by_whoever_asks) {
    put(other | kContended);
    EXPECT_TRUE(lock.held_by_the_living());
    ground.dead.insert(other | kContended);
    EXPECT_FALSE(lock.held_by_the_living());
    EXPECT_EQ(now(), 0U);
    EXPECT_TRUE(ground.woke(&word));
}

TEST_F(OneLock, that_another_recovers_first_is_left_alone) {
    put(other);
    ground.dead.insert(other);
    ground.when_asked = [&] { put(me); };
    EXPECT_FALSE(lock.held_by_the_living());
    EXPECT_EQ(now(), me);
    EXPECT_FALSE(ground.woke(&word));
}

struct Interrupt {};

TEST_F(OneLock, is_not_waited_for_when_the_caller_wants_no_more) {
    put(other);
    ground.meanwhile = [] { std::this_thread::sleep_for(std::chrono::milliseconds(16)); };
    Patience interrupted(platform::kForeverNs, spin, [] { throw Interrupt{}; });
    EXPECT_THROW((void)lock.acquire(me, interrupted), Interrupt);
    EXPECT_EQ(ground.slept_ns.size(), 1U);
}

}  // namespace
}  // namespace ndshare::sync
