// Bells: claimed, armed, rung once, released; the pipes are real.
#include "sync/bells.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "base/check.h"
#include "platform/bell_pipe.h"
#include "platform/record_lock.h"
#include "support/control_memory.h"

namespace ndshare::sync {
namespace {

using layout::kBellCount;

class Bells : public testing::Test {
 protected:
    support::LockFile file;
    support::ControlMemory memory;
    layout::Control control = memory.control();
    platform::Fd fd = file.open();
    // Row 3 is ours, all others are nobody's.
    Ground ground{fd.get(), control, 3, platform::identity_of(fd.get())};
    const std::uint64_t me = owner_word(3, 0), dead = owner_word(5, 0);

    void SetUp() override {
        Atomics::store_relaxed(control.row(3).pid, static_cast<std::uint32_t>(getpid()));
    }
    std::size_t claim(std::uint64_t owner, const platform::BellPipe& pipe) {
        return claim_bell(control, ground, owner, static_cast<std::uint32_t>(pipe.write_end.get()),
                          pipe.inode);
    }
    static bool rang(const platform::BellPipe& pipe) {
        pollfd look{pipe.read_end.get(), POLLIN, 0};
        const bool did = poll(&look, 1, 0) == 1;
        platform::empty_bell(pipe);
        return did;
    }
    auto mark() const { return Atomics::load_relaxed(control.words().bell_high_water); }
};

TEST_F(Bells, are_claimed_from_the_lowest_on) {
    EXPECT_EQ(claim_bell(control, ground, me, 8, 88), 0U);
    EXPECT_EQ(claim_bell(control, ground, me, 9, 99), 1U);
    EXPECT_EQ(mark(), 2U);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(1).owner), me);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(1).fd), 9U);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(1).inode), 99U);
    release_bell(control, 0, me);
    EXPECT_EQ(claim_bell(control, ground, me, 8, 88), 0U);
    EXPECT_EQ(mark(), 2U);
}

TEST_F(Bells, of_the_dead_and_of_nobody_are_claimed) {
    for (const std::uint64_t former : {dead, std::uint64_t{0xffff}}) {
        Atomics::store_relaxed(control.bell(0).owner, former);
        EXPECT_EQ(claim_bell(control, ground, me, 8, 88), 0U);
    }
}

TEST_F(Bells, are_as_many_as_there_are) {
    for (std::size_t k = 0; k < kBellCount; ++k) {
        EXPECT_EQ(claim_bell(control, ground, me, 8, 88), k);
    }
    EXPECT_THROW((void)claim_bell(control, ground, me, 8, 88), Invalid);
}

TEST_F(Bells, are_released_by_their_owner_alone) {
    const std::size_t bell = claim_bell(control, ground, me, 8, 88);
    arm_bell(control, bell);
    release_bell(control, bell, dead);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(bell).owner), me);
    release_bell(control, bell, me);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(bell).owner), 0U);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(bell).armed), 0U);
}

TEST_F(Bells, ring_once_when_they_are_armed) {
    const auto one = platform::make_bell_pipe(), two = platform::make_bell_pipe(),
               three = platform::make_bell_pipe();
    (void)claim(me, one);
    const std::size_t second = claim(me, two);
    (void)claim(me, three);
    ring_armed(control);
    EXPECT_FALSE(rang(one) || rang(two) || rang(three));
    arm_bell(control, second);
    arm_bell(control, second + 1);
    ring_armed(control);
    EXPECT_TRUE(rang(two) && rang(three));
    EXPECT_FALSE(rang(one));
    ring_armed(control);
    EXPECT_FALSE(rang(two) || rang(three));
}

TEST_F(Bells, that_nobody_said_are_armed_are_not_looked_at) {
    const auto pipe = platform::make_bell_pipe();
    const std::size_t bell = claim(me, pipe);
    Atomics::store_relaxed(control.bell(bell).armed, 1U);
    ring_armed(control);
    EXPECT_FALSE(rang(pipe));
    Atomics::store_relaxed(control.words().need_ring, 1U);
    ring_armed(control);
    EXPECT_TRUE(rang(pipe));
    EXPECT_EQ(Atomics::load_relaxed(control.words().need_ring), 0U);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(bell).armed), 0U);
}

TEST_F(Bells, of_nobody_or_above_the_mark_do_not_ring) {
    const auto one = platform::make_bell_pipe(), two = platform::make_bell_pipe();
    const std::size_t first = claim(me, one);
    Atomics::store_relaxed(control.bell(first).owner, std::uint64_t{0});
    auto& above = control.bell(first + 1);
    Atomics::store_relaxed(above.owner, me);
    Atomics::store_relaxed(above.fd, static_cast<std::uint32_t>(two.write_end.get()));
    Atomics::store_relaxed(above.inode, two.inode);
    arm_bell(control, first);
    arm_bell(control, first + 1);
    ring_armed(control);
    EXPECT_FALSE(rang(one) || rang(two));
}

}  // namespace
}  // namespace ndshare::sync
