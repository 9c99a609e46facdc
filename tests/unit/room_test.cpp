// How much memory may be taken here.
#include "platform/room.h"

#include <gtest/gtest.h>

#include "base/check.h"

namespace ndshare::platform {
namespace {

TEST(Room, bytes_are_shown_for_people) {
    EXPECT_EQ(format_bytes(0), "0 B");
    EXPECT_EQ(format_bytes(1023), "1023 B");
    EXPECT_EQ(format_bytes(1024), "1.0 KiB");
    EXPECT_EQ(format_bytes(1536), "1.5 KiB");
    EXPECT_EQ(format_bytes(60922266), "58.1 MiB");
    EXPECT_EQ(format_bytes(std::uint64_t{3} << 30), "3.0 GiB");
    EXPECT_EQ(format_bytes(~std::uint64_t{0}), "16.0 EiB");
}

TEST(Room, there_is_a_limit_here_and_it_says_what_to_do) {
    const Room room(-1);
    const auto limits = room.limits();
    ASSERT_FALSE(limits.empty());
    for (const RoomLimit& limit : limits) {
        EXPECT_FALSE(limit.what.empty());
        EXPECT_FALSE(limit.remedy.empty());
        EXPECT_GT(limit.limit_bytes, 0U) << limit.what;
        EXPECT_LE(limit.free_bytes, limit.limit_bytes) << limit.what;
    }
    for (const RoomLimit& limit : limits) {
        // Free memory moves while we look: twice as much is no mistake of ours.
        EXPECT_LE(room.tightest().free_bytes / 2, limit.free_bytes) << limit.what;
    }
}

TEST(Room, a_little_is_there_and_too_much_is_refused_with_the_numbers) {
    const Room room(-1);
    EXPECT_NO_THROW(room.require(4096));
    try {
        room.require(std::uint64_t{1} << 60);
        FAIL() << "an EiB was there";
    } catch (const NoRoom& e) {
        const std::string text = e.what();
        EXPECT_NE(text.find("1.0 EiB are needed"), std::string::npos) << text;
        EXPECT_NE(text.find("are free"), std::string::npos) << text;
        EXPECT_NE(text.find("make the array smaller"), std::string::npos) << text;
    }
}

}  // namespace
}  // namespace ndshare::platform
