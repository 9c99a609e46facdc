// Write, read and wait, step by step by one thread; the others' steps happen while it sleeps or
// copies. What interleaves is in tests/schedule.
#include "sync/version.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "support/control_memory.h"
#include "support/plain_ground.h"
#include "sync/racy_copy.h"

namespace ndshare::sync {
namespace {

constexpr std::int64_t kMs = 1'000'000;

void pass(std::int64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); }

struct Interrupt {};

// Counts the looks at the version, and does something after each.
struct LookingGround : support::PlainGround {
    const void* looked_at = nullptr;
    mutable int looks = 0;
    std::function<void()> after_look = [] {};
    auto load_acquire(const auto& word) const {
        const auto value = PlainGround::load_acquire(word);
        if (&word == looked_at) {
            ++looks;
            after_look();
        }
        return value;
    }
};

class OneVersion : public testing::Test {
 protected:
    using Turn = ReadTurn<LookingGround>;
    const std::uint64_t me = owner_word(3, 7), other = owner_word(5, 9);
    support::ControlMemory memory;
    layout::ControlWords& words = memory.control().words();
    LookingGround ground;
    Version<LookingGround> version{words, ground};
    SpinBudget spin{0};
    Patience none{0, spin}, patience{platform::kForeverNs, spin};
    std::uint64_t got = 99;
    int copies = 0;

    void SetUp() override { ground.looked_at = &words.version; }
    void put(std::uint64_t value) { ground.store_relaxed(words.version, value); }
    std::uint64_t now() const { return ground.load_relaxed(words.version); }
    std::uint32_t turn() const { return ground.load_relaxed(words.turn); }
    // A writer that lives is inside.
    void somebody_writes() {
        ground.store_relaxed(words.lock, other);
        put(now() | 1);
    }
    void somebody_has_written() {
        ground.store_relaxed(words.lock, std::uint64_t{0});
        put((now() | 1) + 1);
    }
    ReadOutcome read(Patience& with, const std::function<void()>& in_copy = [] {}) {
        return version.read(
            [&](auto) {
                ++copies;
                in_copy();
            },
            with, 7, got);
    }
};

// ---- writing ------------------------------------------------------------------------------------

TEST_F(OneVersion, that_is_unlocked_is_free_and_as_it_was) {
    ASSERT_TRUE(version.lock(me, none));
    EXPECT_EQ(ground.load_relaxed(words.lock), me);
    version.unlock(me);
    EXPECT_EQ(ground.load_relaxed(words.lock), 0U);
    EXPECT_EQ(now(), 0U);
}

TEST_F(OneVersion, that_nobody_sleeps_on_wakes_nobody) {
    ASSERT_TRUE(version.lock(me, none));
    version.begin();
    EXPECT_EQ(version.finish(me), 1U);
    EXPECT_FALSE(ground.woke(&words.version));
}

TEST_F(OneVersion, that_is_left_wakes_who_sleeps_on_it) {
    ASSERT_TRUE(version.lock(me, none));
    version.begin();
    ASSERT_TRUE(version.announce_sleep(now()));
    version.leave(me);
    EXPECT_EQ(now(), 1U);
    EXPECT_EQ(ground.load_relaxed(words.lock), 0U);
    EXPECT_TRUE(ground.woke(&words.version));
}

// ---- reading ------------------------------------------------------------------------------------

TEST_F(OneVersion, that_rests_is_copied_once) {
    put(4);
    EXPECT_EQ(read(patience), ReadOutcome::consistent);
    EXPECT_EQ(got, 2U);
    EXPECT_EQ(copies, 1);
}

TEST_F(OneVersion, that_changes_in_the_copy_is_asked_for_after_three_copies) {
    std::vector<bool> asked;
    EXPECT_EQ(read(patience,
                   [&] {
                       asked.push_back(turn() != 0);
                       if (copies < 5) put(now() + 2);
                   }),
              ReadOutcome::consistent);
    EXPECT_EQ(asked, (std::vector<bool>{false, false, false, true, true}));
    EXPECT_EQ(got, 4U);
    EXPECT_EQ(turn(), 0U);
}

TEST_F(OneVersion, that_changes_in_the_copy_is_copied_once_by_one_who_has_no_time) {
    EXPECT_EQ(read(none, [&] { put(now() + 2); }), ReadOutcome::timed_out);
    EXPECT_EQ(copies, 1);
}

TEST_F(OneVersion, that_changes_in_every_copy_is_given_up_when_the_time_is_over) {
    Patience brief(200 * kMs, spin);
    EXPECT_EQ(read(brief,
                   [&] {
                       put(now() + 2);
                       if (copies == 4) pass(210 * kMs);
                   }),
              ReadOutcome::timed_out);
    EXPECT_EQ(copies, 4);
    EXPECT_EQ(turn(), 0U);
}

TEST_F(OneVersion, that_was_left_is_said_to_be_so_at_once) {
    put(3);
    EXPECT_EQ(read(patience), ReadOutcome::incomplete);
    EXPECT_TRUE(ground.slept_ns.empty());
    EXPECT_EQ(copies, 0);
}

TEST_F(OneVersion, that_is_left_while_one_sleeps_is_said_to_be_so_then) {
    somebody_writes();
    ground.meanwhile = [&] { ground.store_relaxed(words.lock, std::uint64_t{0}); };
    EXPECT_EQ(read(patience), ReadOutcome::incomplete);
    EXPECT_EQ(ground.slept_ns.size(), 1U);
}

TEST_F(OneVersion, that_is_left_while_the_time_runs_out_is_said_to_be_so) {
    somebody_writes();
    ground.meanwhile = [&] {
        ground.store_relaxed(words.lock, std::uint64_t{0});
        pass(210 * kMs);
    };
    Patience brief(200 * kMs, spin);
    EXPECT_EQ(read(brief), ReadOutcome::incomplete);
}

TEST_F(OneVersion, that_is_written_while_one_sleeps_is_copied_in_the_same_attempt) {
    somebody_writes();
    ground.meanwhile = [&] { somebody_has_written(); };
    std::vector<bool> asked;
    EXPECT_EQ(read(patience,
                   [&] {
                       asked.push_back(turn() != 0);
                       if (copies <= 3) put(now() + 2);
                   }),
              ReadOutcome::consistent);
    EXPECT_EQ(asked, (std::vector<bool>{false, false, false, true}));
    EXPECT_EQ(ground.slept_ns.size(), 1U);
}

TEST_F(OneVersion, that_is_being_written_is_waited_for_three_times_and_then_asked_for) {
    somebody_writes();
    std::vector<bool> asked;
    ground.meanwhile = [&] {
        asked.push_back(turn() != 0);
        if (asked.size() == 5) somebody_has_written();
    };
    EXPECT_EQ(read(patience), ReadOutcome::consistent);
    EXPECT_EQ(asked, (std::vector<bool>{false, false, false, true, true}));
    EXPECT_EQ(copies, 1);
}

TEST_F(OneVersion, that_is_being_written_is_not_slept_for_by_one_who_has_no_time) {
    somebody_writes();
    EXPECT_EQ(read(none), ReadOutcome::timed_out);
    EXPECT_TRUE(ground.slept_ns.empty());
}

TEST_F(OneVersion, that_another_reader_asked_for_is_its_first) {
    Turn others(words.turn, ground);
    ASSERT_TRUE(others.ask(8));
    bool was_done = false;
    ground.meanwhile = [&] {
        others.done();
        was_done = true;
    };
    EXPECT_EQ(read(patience,
                   [&] {
                       if (copies <= 3) put(now() + 2);
                       EXPECT_EQ(was_done, copies > 3);
                   }),
              ReadOutcome::consistent);
    EXPECT_EQ(copies, 4);
}

TEST_F(OneVersion, that_another_reader_keeps_is_given_up_when_the_time_is_over) {
    Turn others(words.turn, ground);
    ASSERT_TRUE(others.ask(8));
    ground.meanwhile = [] { pass(20 * kMs); };
    Patience brief(15 * kMs, spin);  // less than the slice after which it would be passed over
    EXPECT_EQ(read(brief, [&] { put(now() + 2); }), ReadOutcome::timed_out);
    EXPECT_LE(copies, 3);
}

TEST_F(OneVersion, that_is_copied_in_turn_shows_that_the_copy_goes_on) {
    std::vector<std::uint32_t> turns;
    const auto copy = [&](auto progress) {
        if (++copies <= 3) put(now() + 2);
        for (int piece = 0; piece < 3; ++piece) {
            (void)progress();
            turns.push_back(turn());
        }
    };
    EXPECT_EQ(version.read(copy, patience, 7, got), ReadOutcome::consistent);
    ASSERT_EQ(turns.size(), 12U);
    for (std::size_t k = 0; k < 9; ++k) EXPECT_EQ(turns[k], 0U);
    EXPECT_EQ(turns[10], turns[9] + 1);
    EXPECT_EQ(turns[11], turns[9] + 2);
}

// ---- waiting ------------------------------------------------------------------------------------

TEST_F(OneVersion, that_has_moved_is_not_slept_on) {
    put(2);
    version.sleep_while(0, patience);
    EXPECT_TRUE(ground.slept_ns.empty());
    version.sleep_while(2, patience);
    EXPECT_EQ(ground.slept_ns.size(), 1U);
}

TEST_F(OneVersion, is_not_waited_for_when_the_caller_wants_no_more) {
    ground.meanwhile = [] { pass(16 * kMs); };
    Patience interrupted(platform::kForeverNs, spin, [] { throw Interrupt{}; });
    EXPECT_THROW((void)version.wait_newer(0, interrupted, got), Interrupt);
    EXPECT_EQ(ground.slept_ns.size(), 1U);
}

// The next write, which was left since, is the next wait's matter.
TEST_F(OneVersion, that_was_seen_complete_is_news) {
    put(2);
    ground.after_look = [&] { put(3); };
    EXPECT_EQ(version.wait_newer(0, patience, got), WaitOutcome::newer);
    EXPECT_EQ(got, 1U);
    put(3);
    EXPECT_EQ(version.wait_newer(0, patience, got), WaitOutcome::incomplete);
}

TEST_F(OneVersion, is_looked_at_long_before_the_first_sleep_and_once_after_each) {
    if (platform::online_cpu_count() < 2) GTEST_SKIP() << "nobody spins on one CPU";
    SpinBudget lasting(100'000);
    Patience spinning(platform::kForeverNs, lasting);
    std::vector<int> looks;
    ground.meanwhile = [&] {
        looks.push_back(std::exchange(ground.looks, 0));
        if (looks.size() == 3) put(2);
    };
    EXPECT_EQ(version.wait_newer(0, spinning, got), WaitOutcome::newer);
    ASSERT_EQ(looks.size(), 3U);
    EXPECT_GT(looks[0], 32);
    EXPECT_EQ(looks[1], 1);
    EXPECT_EQ(looks[2], 1);
}

// ---- copying ------------------------------------------------------------------------------------

TEST(RacyCopy, copies_all_of_a_piece_whatever_it_is_a_piece_of) {
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{4097}, std::size_t{300'001}}) {
        for (const std::size_t working_set : {bytes, std::size_t{64} << 20}) {
            std::vector<std::byte> in(bytes, std::byte{7}), out(bytes + 1, std::byte{1});
            racy_copy(out.data(), in.data(), bytes, platform::StreamCopy(bytes, working_set));
            EXPECT_TRUE(std::equal(in.begin(), in.end(), out.begin())) << bytes;
            EXPECT_EQ(out[bytes], std::byte{1}) << bytes;
        }
    }
}

}  // namespace
}  // namespace ndshare::sync
