// A reader's turn and a writer that lets it pass, step by step; the reader's steps happen while the
// writer sleeps.
#include "sync/read_turn.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/racing_ground.h"

namespace ndshare::sync {
namespace {

using Turn = ReadTurn<support::RacingGround>;

class OneTurn : public testing::Test {
 protected:
    layout::Word32 word{};
    support::RacingGround ground;
    Turn reader{word, ground}, other{word, ground}, writer{word, ground};
    SpinBudget spin{0};
    int steps = 0;

    std::uint32_t now() const { return ground.load_relaxed(word); }
    bool is_asked() const { return now() >> Turn::kNonceShift != 0; }
    void let_pass(
        std::function<std::uint64_t()> quiet = [] { return std::uint64_t{1}; },
        std::int64_t timeout_ns = platform::kForeverNs) {
        Patience patience(timeout_ns, spin);
        writer.let_pass(patience, quiet);
    }
    // The reader is done at the writer's third sleep; until then it does this.
    void done_at_third(std::function<void()> step) {
        ground.meanwhile = [this, step] {
            EXPECT_TRUE(is_asked()) << "passed over";
            EXPECT_NE(now() & Turn::kAwaited, 0U);
            ++steps == 3 ? reader.done() : step();
        };
    }
};

TEST_F(OneTurn, that_nobody_asked_for_keeps_no_writer) {
    let_pass();
    EXPECT_TRUE(ground.slept_ns.empty());
}

TEST_F(OneTurn, that_stands_still_is_passed_over_after_one_slice) {
    ASSERT_TRUE(reader.ask(7));
    let_pass();
    EXPECT_EQ(ground.slept_ns, std::vector<std::int64_t>{kSliceFirstNs});
    EXPECT_EQ(now(), 0U);
    EXPECT_TRUE(ground.woke(&word));
}

TEST_F(OneTurn, that_makes_progress_is_let_pass) {
    ASSERT_TRUE(reader.ask(7));
    done_at_third([this] { reader.progress(); });
    let_pass();
    EXPECT_EQ(steps, 3);
    EXPECT_EQ(now(), 0U);
    EXPECT_TRUE(ground.woke(&word));
}

TEST_F(OneTurn, in_which_nobody_could_copy_is_not_passed_over) {
    ASSERT_TRUE(reader.ask(7));
    done_at_third([] {});
    let_pass([] { return std::uint64_t{0}; });  // somebody writes
    EXPECT_EQ(steps, 3);
    steps = 0;
    ASSERT_TRUE(reader.ask(7));
    std::uint64_t writes = 1;
    let_pass([&] { return ++writes; });
    EXPECT_EQ(steps, 3);
}

TEST_F(OneTurn, is_not_passed_over_by_one_who_has_no_slice_left) {
    ASSERT_TRUE(reader.ask(7));
    let_pass([] { return std::uint64_t{1}; }, kSliceFirstNs / 4);
    EXPECT_TRUE(is_asked());
}

TEST_F(OneTurn, of_another_reader_that_comes_next_is_not_waited_for) {
    ASSERT_TRUE(reader.ask(7));
    ground.meanwhile = [this] {
        reader.done();
        EXPECT_TRUE(other.ask(8));
    };
    let_pass();
    EXPECT_EQ(ground.slept_ns.size(), 1U);
    EXPECT_TRUE(is_asked());
}

TEST_F(OneTurn, is_one_readers_until_it_is_done) {
    EXPECT_TRUE(reader.ask(7));
    EXPECT_TRUE(reader.ask(7));
    EXPECT_FALSE(other.ask(8));
    const std::uint32_t asked = now();
    other.progress();
    other.done();
    EXPECT_EQ(now(), asked);
    reader.progress();
    EXPECT_EQ(now(), asked + 1);
    ground.store_relaxed(word, asked | Turn::kAwaited | Turn::kProgressMask);
    reader.progress();
    EXPECT_EQ(now(), asked | Turn::kAwaited);
    reader.done();
    EXPECT_EQ(now(), 0U);
    EXPECT_TRUE(ground.woke(&word));
}

TEST_F(OneTurn, that_ends_before_it_is_marked_is_not_slept_on) {
    ASSERT_TRUE(reader.ask(7));
    ground.before_exchange(1, [this] { reader.done(); });
    let_pass();
    EXPECT_TRUE(ground.slept_ns.empty());
}

TEST_F(OneTurn, that_goes_on_as_it_is_passed_over_stands) {
    ASSERT_TRUE(reader.ask(7));
    // The first exchange marks it, the second would clear it, were it as it was.
    ground.before_exchange(2, [this] { reader.progress(); });
    let_pass();
    EXPECT_TRUE(is_asked());
    EXPECT_FALSE(ground.woke(&word));
}

TEST_F(OneTurn, of_one_who_never_asked_is_nobodys) {
    reader.progress();
    EXPECT_EQ(now(), 0U);
}

struct Interrupt {};

TEST_F(OneTurn, is_not_waited_for_when_the_caller_wants_no_more) {
    ASSERT_TRUE(reader.ask(7));
    ground.meanwhile = [] { std::this_thread::sleep_for(std::chrono::milliseconds(16)); };
    Patience interrupted(platform::kForeverNs, spin, [] { throw Interrupt{}; });
    EXPECT_THROW(writer.let_pass(interrupted, [] { return std::uint64_t{1}; }), Interrupt);
    EXPECT_TRUE(is_asked());
}

TEST_F(OneTurn, that_nobody_waits_for_wakes_nobody) {
    ASSERT_TRUE(reader.ask(7));
    reader.done();
    EXPECT_EQ(now(), 0U);
    EXPECT_FALSE(ground.woke(&word));
}

}  // namespace
}  // namespace ndshare::sync
