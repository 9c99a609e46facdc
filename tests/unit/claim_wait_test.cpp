// How a `block` publisher waits for a slot: until one comes free, its time is over, or its caller
// has enough.
#include "sync/claim_wait.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/control_memory.h"
#include "support/plain_ground.h"

namespace ndshare::sync {
namespace {

using support::PlainGround;

constexpr std::size_t kSlots = 2;
struct Enough {};

class ClaimWait : public testing::Test {
 protected:
    support::ControlMemory memory{layout::control_bytes_of_stream(kSlots)};
    layout::StreamControl control{memory.base(), kSlots};
    PlainGround ground;
    SlotRing<PlainGround> ring{control, ground};
    Ends<PlainGround> ends{control, ground};
    ClaimMemory known;
    SpinBudget none{0};
    const std::uint64_t me = owner_word(1, 0), reader = owner_word(2, 0);
    std::size_t end = 0;

    // Both slots have a frame that is not read.
    void SetUp() override {
        end = ends.take(reader, layout::kEndInOrder);
        for (std::size_t k = 0; k < kSlots; ++k) {
            const auto claim = ring.claim(me, false, false, known);
            ASSERT_TRUE(claim);
            (void)ring.publish(me, claim.slot);
        }
    }
    auto wait(Patience& patience) {
        return claim_waiting(ring, ends, control.words().room, ground, me, known, patience);
    }
    void sleeps_at_most(std::size_t count) const {
        if (ground.slept_ns.size() > count) throw std::runtime_error("it goes on sleeping");
    }
};

TEST_F(ClaimWait, sleeps_until_what_is_in_the_way_is_read) {
    Patience patience(platform::kForeverNs, none);
    ground.meanwhile = [&] { ground.store_seq_cst(control.end(end).cursor, std::uint64_t{1}); };
    EXPECT_TRUE(wait(patience));
    EXPECT_EQ(ground.slept_ns.size(), 1U);
}

TEST_F(ClaimWait, gives_up_when_its_time_is_over_and_says_who_is_in_the_way) {
    Patience patience(0, none);
    ground.meanwhile = [&] { sleeps_at_most(2); };
    const auto claim = wait(patience);
    EXPECT_EQ(claim.refusal, SlotRing<PlainGround>::Refusal::unread);
    EXPECT_EQ(claim.blocker, end);
}

TEST_F(ClaimWait, asks_its_caller_whether_to_go_on) {
    Patience patience(platform::kForeverNs, none, [] { throw Enough(); });
    ground.meanwhile = [&] {
        sleeps_at_most(5);
        std::this_thread::sleep_for(std::chrono::nanoseconds(kAskPeriodNs));
    };
    EXPECT_THROW((void)wait(patience), Enough);
}

}  // namespace
}  // namespace ndshare::sync
