// Rows by the kernel's record locks: each description stands for a process of its own.
#include "sync/peer_rows.h"

#include <gtest/gtest.h>

#include "base/check.h"
#include "platform/record_lock.h"
#include "support/control_memory.h"
#include "sync/ground.h"

namespace ndshare::sync {
namespace {

using layout::kRowCount;

class PeerRows : public testing::Test {
 protected:
    support::LockFile file;
    support::ControlMemory memory;
    layout::Control control = memory.control();
    std::vector<std::size_t> reserved;

    std::uint64_t take(const platform::Fd& fd, std::uint32_t pid = 4711) {
        const PeerIdentity who{.pid = pid, .fd = 7, .pid_namespace = 99};
        return take_row(fd.get(), control, who, [&](std::size_t row) { reserved.push_back(row); });
    }
    std::uint32_t mark() const { return Atomics::load_relaxed(control.words().row_high_water); }
    // As if all rows had been in use, by processes that are dead now.
    void sign_all() {
        for (std::size_t row = 0; row < kRowCount; ++row) sign_row(control, row, {1, 1, 1});
        Atomics::store_relaxed(control.words().row_high_water, std::uint32_t{kRowCount});
    }
};

TEST_F(PeerRows, are_taken_one_after_the_other_and_reserved_before) {
    const auto one = file.open(), two = file.open();
    EXPECT_EQ(take(one), owner_word(0, 1));
    EXPECT_EQ(take(two), owner_word(1, 1));
    EXPECT_EQ(reserved, (std::vector<std::size_t>{0, 1}));
    EXPECT_EQ(mark(), 2U);
    EXPECT_TRUE(platform::is_locked_by_another(two.get(), 0));
    EXPECT_TRUE(platform::is_locked_by_another(one.get(), 1));
}

TEST_F(PeerRows, that_say_that_they_are_free_are_taken_again_with_another_epoch) {
    {
        const auto one = file.open();
        clear_row(control, row_of(take(one)));
    }
    const auto two = file.open();
    EXPECT_EQ(take(two), owner_word(0, 2));
    EXPECT_EQ(mark(), 1U);
    EXPECT_EQ(reserved.size(), 1U);
}

TEST_F(PeerRows, of_the_dead_are_taken_when_there_is_no_new_one) {
    (void)take(file.open());  // signed, and gone
    const auto two = file.open();
    EXPECT_EQ(take(two), owner_word(1, 1));
    sign_all();
    const auto three = file.open(), four = file.open();
    EXPECT_EQ(take(three), owner_word(0, 2));
    EXPECT_EQ(take(four), owner_word(2, 1));  // row 1 is held
    EXPECT_EQ(mark(), kRowCount);
}

TEST_F(PeerRows, that_are_all_held_are_refused) {
    const auto all = file.open(), one = file.open();
    sign_all();
    ASSERT_TRUE(platform::try_record_lock(all.get(), 0, kRowCount));
    EXPECT_THROW((void)take(one), Invalid);
    EXPECT_TRUE(reserved.empty());
}

TEST_F(PeerRows, are_not_to_be_had_while_the_door_is_shut) {
    const auto last = file.open(), newcomer = file.open();
    const std::size_t row = row_of(take(last));
    ASSERT_TRUE(try_shut_door(last.get()));
    EXPECT_THROW((void)take(newcomer), DoorIsShut);
    open_door(last.get(), row);
    EXPECT_TRUE(platform::is_locked_by_another(newcomer.get(), row));
    EXPECT_EQ(row_of(take(newcomer)), row + 1);
    EXPECT_FALSE(try_shut_door(last.get()));
}

TEST_F(PeerRows, behind_an_open_door_are_all_free_but_ones_own) {
    const auto first = file.open();
    auto last = file.open();
    (void)take(first);
    const std::size_t row = row_of(take(last));
    ASSERT_EQ(row, 1U);
    const auto looker = file.open();
    platform::record_unlock(first.get(), 0);
    ASSERT_TRUE(try_shut_door(last.get()));
    open_door(last.get(), row);
    for (std::size_t byte = 0; byte <= kRowCount; ++byte) {
        EXPECT_EQ(platform::is_locked_by_another(looker.get(), byte), byte == row) << byte;
    }
}

TEST_F(PeerRows, that_are_held_and_not_signed_are_passed_over) {
    const auto one = file.open(), two = file.open();
    clear_row(control, row_of(take(one)));  // a forked child that is on its way
    EXPECT_EQ(take(two), owner_word(1, 1));
}

TEST_F(PeerRows, that_another_takes_just_now_are_passed_over) {
    const auto quick = file.open(), slow = file.open();
    const std::uint64_t got = take_row_unsigned(slow.get(), control, [&](std::size_t row) {
        if (row > 0) return;
        EXPECT_EQ(take(quick), owner_word(0, 1));
        EXPECT_EQ(take(file.open()), owner_word(1, 1));
    });
    EXPECT_EQ(got, owner_word(1, 2));
    EXPECT_EQ(mark(), 2U);
}

TEST_F(PeerRows, have_epochs_that_wrap) {
    const std::uint64_t last = ~std::uint64_t{0} >> kEpochShift;
    Atomics::store_relaxed(control.row(0).epoch, last);
    const auto one = file.open();
    EXPECT_EQ(take(one), owner_word(0, 0));
}

TEST_F(PeerRows, show_the_living_with_what_they_signed) {
    const auto one = file.open(), two = file.open();
    (void)take(one, 11);
    const std::size_t own = row_of(take(two, 22));
    (void)take(file.open(), 33);  // gone
    const auto four = file.open();
    clear_row(control, row_of(take(four, 44)));  // held, not signed
    // At and above the mark: not there.
    sign_row(control, 4, {55, 1, 1});
    const auto above = file.open();
    ASSERT_TRUE(platform::try_record_lock(above.get(), 4));

    const auto peers = living_peers(two.get(), control, own);
    ASSERT_EQ(peers.size(), 2U);
    EXPECT_EQ(peers[0].row, 0U);
    EXPECT_EQ(peers[0].who.pid, 11U);
    EXPECT_EQ(peers[0].who.fd, 7U);
    EXPECT_EQ(peers[0].who.pid_namespace, 99U);
    EXPECT_EQ(peers[1].row, own);
    EXPECT_EQ(peers[1].who.pid, 22U);
    EXPECT_EQ(living_peers(four.get(), control, kRowCount).size(), 2U);
}

// ---- who is alive -------------------------------------------------------------------------------

TEST_F(PeerRows, tell_whether_their_owners_live) {
    const auto one = file.open();
    const std::uint64_t own = take(one);
    std::uint64_t other = 0;
    const Ground ground(one.get(), control, row_of(own), platform::identity_of(one.get()));
    {
        const auto two = file.open();
        other = take(two);
        EXPECT_TRUE(ground.owner_is_alive(other));
        EXPECT_TRUE(ground.owner_is_alive(other | kContended));
        EXPECT_FALSE(ground.owner_is_alive(owner_word(row_of(other), 7)));  // of another epoch
    }
    EXPECT_FALSE(ground.owner_is_alive(other));
    EXPECT_TRUE(ground.owner_is_alive(own));  // though one's own lock is invisible to oneself
}

TEST_F(PeerRows, are_all_alive_for_a_descriptor_that_leads_elsewhere) {
    const auto one = file.open();
    const std::uint64_t other = take(file.open());  // gone
    const support::LockFile elsewhere;
    const auto stranger = elsewhere.open();
    const auto identity = platform::identity_of(one.get());
    EXPECT_FALSE(Ground(one.get(), control, 5, identity).owner_is_alive(other));
    EXPECT_TRUE(Ground(stranger.get(), control, 5, identity).owner_is_alive(other));
}

}  // namespace
}  // namespace ndshare::sync
