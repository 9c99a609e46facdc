// What a publisher remembers between claims.
#include "sync/claim_memory.h"

#include <gtest/gtest.h>

namespace ndshare::sync {
namespace {

TEST(ClaimMemory, knows_what_is_unneeded_while_nobody_joins) {
    ClaimMemory memory;
    EXPECT_FALSE(memory.is_unneeded(0, 0));
    memory.note_unneeded(10, 3);
    EXPECT_TRUE(memory.is_unneeded(10, 3));
    EXPECT_TRUE(memory.is_unneeded(9, 3));
    EXPECT_FALSE(memory.is_unneeded(11, 3));
    EXPECT_FALSE(memory.is_unneeded(10, 4));
    memory.note_unneeded(12, 4);
    EXPECT_TRUE(memory.is_unneeded(12, 4));
    EXPECT_FALSE(memory.is_unneeded(10, 3));
}

TEST(ClaimMemory, keeps_the_dead_of_each_end_apart) {
    ClaimMemory memory;
    memory.add(3, 77);
    EXPECT_TRUE(memory.has(3, 77));
    EXPECT_FALSE(memory.has(3, 78));
    EXPECT_FALSE(memory.has(4, 77));
}

TEST(ClaimMemory, asks_at_every_sixteenth_look) {
    ClaimMemory memory;
    for (int look = 0; look < 48; ++look) EXPECT_EQ(memory.is_time_to_ask(), look % 16 == 0);
}

TEST(Asked, forgets_who_lives_when_it_asks_again) {
    ClaimMemory memory;
    Asked soft(memory, false);
    EXPECT_FALSE(soft.hard());
    soft.ask();
    EXPECT_TRUE(soft.hard());
    EXPECT_FALSE(soft.is_alive(5));
    soft.is_alive(5) = true;
    soft.ask();
    EXPECT_FALSE(soft.is_alive(5));
    EXPECT_TRUE(Asked(memory, true).hard());
}

}  // namespace
}  // namespace ndshare::sync
