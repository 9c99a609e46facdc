// Attributes by one thread: what is written is read, up to the largest text.
#include <gtest/gtest.h>

#include "support/control_memory.h"
#include "support/plain_ground.h"
#include "sync/attrs_cell.h"

namespace ndshare::sync {
namespace {

TEST(Attrs, are_what_was_written_last) {
    support::ControlMemory memory;
    support::PlainGround ground;
    AttrsCell cell(memory.control(), ground);
    EXPECT_FALSE(cell.was_ever_set());
    EXPECT_EQ(cell.read(), "");
    const std::string longest(layout::kAttrsCapacityBytes, 'x');
    for (const std::string& text : {std::string("{\"a\": 1}"), std::string(), longest}) {
        cell.write(text);
        EXPECT_EQ(cell.read(), text);
        EXPECT_TRUE(cell.was_ever_set());
    }
    // The longest fills its place and nothing behind it.
    EXPECT_EQ(memory.control().attrs_text(1)[layout::kAttrsCapacityBytes], std::byte{0});
}

TEST(Attrs, fill_their_bytes_and_no_more) {
    support::ControlMemory memory;
    support::PlainGround ground;
    AttrsCell cell(memory.control(), ground);
    memory.control().attrs_text(1)[1] = std::byte{7};
    cell.write(std::string("x"));
    EXPECT_EQ(memory.control().attrs_text(1)[1], std::byte{7});
}

TEST(Attrs, of_an_impossible_length_are_corrupt) {
    support::ControlMemory memory;
    support::PlainGround ground;
    AttrsCell cell(memory.control(), ground);
    cell.write("x");
    ground.store_relaxed(memory.control().words().attrs_bytes[1],
                         std::uint32_t{layout::kAttrsCapacityBytes + 1});
    EXPECT_THROW((void)cell.read(), CorruptBytes);
    // Nor is anything read of it: there is no such memory.
    ground.store_relaxed(memory.control().words().attrs_bytes[1], std::uint32_t{1} << 29);
    EXPECT_THROW((void)cell.read(), CorruptBytes);
}

}  // namespace
}  // namespace ndshare::sync
