// Bells: claimed, armed, rung once, released; the pipes are real.
#include "sync/bells.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "base/check.h"
#include "platform/bell_pipe.h"
#include "platform/record_lock.h"
#include "support/control_memory.h"
#include "sync/ground.h"

namespace ndshare::sync {
namespace {

using layout::kBellCount;

class PipeBells : public testing::Test {
 protected:
    support::LockFile file;
    support::ControlMemory memory;
    layout::Control control = memory.control();
    platform::Fd fd = file.open();
    // Row 3 is ours, all others are nobody's.
    Ground ground{fd.get(), control, 3, platform::identity_of(fd.get())};
    Bells<Ground> bells{control, ground};
    const std::uint64_t me = owner_word(3, 0), dead = owner_word(5, 0);

    void SetUp() override {
        Atomics::store_relaxed(control.row(3).pid, static_cast<std::uint32_t>(getpid()));
    }
    std::size_t claim(std::uint64_t owner, const platform::BellPipe& pipe) {
        return bells.claim(owner, static_cast<std::uint32_t>(pipe.write_end.get()), pipe.inode);
    }
    static bool rang(const platform::BellPipe& pipe) {
        pollfd look{pipe.read_end.get(), POLLIN, 0};
        const bool did = poll(&look, 1, 0) == 1;
        platform::empty_bell(pipe);
        return did;
    }
    auto mark() const { return Atomics::load_relaxed(control.words().bell_high_water); }
};

TEST_F(PipeBells, are_claimed_from_the_lowest_on) {
    EXPECT_EQ(bells.claim(me, 8, 88), 0U);
    EXPECT_EQ(bells.claim(me, 9, 99), 1U);
    EXPECT_EQ(mark(), 2U);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(1).owner), me);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(1).fd), 9U);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(1).inode), 99U);
    bells.release(0, me);
    EXPECT_EQ(bells.claim(me, 8, 88), 0U);
    EXPECT_EQ(mark(), 2U);
}

TEST_F(PipeBells, of_the_dead_and_of_nobody_are_claimed) {
    for (const std::uint64_t former : {dead, std::uint64_t{0xffff}}) {
        Atomics::store_relaxed(control.bell(0).owner, former);
        EXPECT_EQ(bells.claim(me, 8, 88), 0U);
    }
}

TEST_F(PipeBells, are_as_many_as_there_are) {
    for (std::size_t k = 0; k < kBellCount; ++k) {
        EXPECT_EQ(bells.claim(me, 8, 88), k);
    }
    EXPECT_THROW((void)bells.claim(me, 8, 88), Invalid);
}

TEST_F(PipeBells, are_released_by_their_owner_alone) {
    const std::size_t bell = bells.claim(me, 8, 88);
    bells.arm(bell);
    bells.release(bell, dead);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(bell).owner), me);
    bells.release(bell, me);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(bell).owner), 0U);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(bell).armed), 0U);
}

TEST_F(PipeBells, ring_once_when_they_are_armed) {
    const auto one = platform::make_bell_pipe(), two = platform::make_bell_pipe(),
               three = platform::make_bell_pipe();
    (void)claim(me, one);
    const std::size_t second = claim(me, two);
    (void)claim(me, three);
    bells.ring_armed();
    EXPECT_FALSE(rang(one) || rang(two) || rang(three));
    bells.arm(second);
    bells.arm(second + 1);
    bells.ring_armed();
    EXPECT_TRUE(rang(two) && rang(three));
    EXPECT_FALSE(rang(one));
    bells.ring_armed();
    EXPECT_FALSE(rang(two) || rang(three));
}

TEST_F(PipeBells, that_nobody_said_are_armed_are_not_looked_at) {
    const auto pipe = platform::make_bell_pipe();
    const std::size_t bell = claim(me, pipe);
    Atomics::store_relaxed(control.bell(bell).armed, 1U);
    bells.ring_armed();
    EXPECT_FALSE(rang(pipe));
    Atomics::store_relaxed(control.words().need_ring, 1U);
    bells.ring_armed();
    EXPECT_TRUE(rang(pipe));
    EXPECT_EQ(Atomics::load_relaxed(control.words().need_ring), 0U);
    EXPECT_EQ(Atomics::load_relaxed(control.bell(bell).armed), 0U);
}

TEST_F(PipeBells, of_nobody_or_above_the_mark_do_not_ring) {
    const auto one = platform::make_bell_pipe(), two = platform::make_bell_pipe();
    const std::size_t first = claim(me, one);
    Atomics::store_relaxed(control.bell(first).owner, std::uint64_t{0});
    auto& above = control.bell(first + 1);
    Atomics::store_relaxed(above.owner, me);
    Atomics::store_relaxed(above.fd, static_cast<std::uint32_t>(two.write_end.get()));
    Atomics::store_relaxed(above.inode, two.inode);
    bells.arm(first);
    bells.arm(first + 1);
    bells.ring_armed();
    EXPECT_FALSE(rang(one) || rang(two));
}

// What lies behind the last row are the bells, and could pass for a row.
TEST_F(PipeBells, whose_owner_names_no_row_do_not_ring) {
    const auto pipe = platform::make_bell_pipe();
    (void)bells.claim(me, 8, 88);
    const std::size_t second = claim(me, pipe);
    const std::size_t past_the_rows = layout::kRowCount + 1;
    static_assert(layout::kBellsOffset == layout::kRowsOffset + layout::kRowCount * 64);
    Atomics::store_relaxed(control.row(past_the_rows).pid, static_cast<std::uint32_t>(getpid()));
    Atomics::store_relaxed(control.bell(second).owner, std::uint64_t{past_the_rows + 1});
    bells.arm(second);
    bells.ring_armed();
    EXPECT_FALSE(rang(pipe));
}

}  // namespace
}  // namespace ndshare::sync
