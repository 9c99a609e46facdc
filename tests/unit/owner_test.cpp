// Who holds a lock word, in 64 bits.
#include "sync/owner.h"

#include <gtest/gtest.h>

namespace ndshare::sync {
namespace {

constexpr std::uint64_t kEpochMax = ~std::uint64_t{0} >> kEpochShift;

TEST(Owner, row_and_epoch_come_back) {
    for (const std::size_t row : {std::size_t{0}, std::size_t{1}, layout::kRowCount - 1}) {
        for (const std::uint64_t epoch : {std::uint64_t{0}, std::uint64_t{1}, kEpochMax}) {
            const std::uint64_t word = owner_word(row, epoch);
            EXPECT_TRUE(names_a_row(word));
            EXPECT_EQ(row_of(word), row);
            EXPECT_EQ(word >> kEpochShift, epoch);
            EXPECT_EQ(word & kContended, 0U);
        }
    }
}

TEST(Owner, nobody_names_no_row) {
    EXPECT_FALSE(names_a_row(0));
    EXPECT_FALSE(names_a_row(kContended));
    EXPECT_FALSE(names_a_row(owner_word(layout::kRowCount, 1)));
    EXPECT_FALSE(names_a_row(kRowMask));
}

TEST(Owner, the_contended_bit_is_no_part_of_the_owner) {
    const std::uint64_t word = owner_word(5, 77);
    EXPECT_EQ(owner_of(word | kContended), word);
    EXPECT_EQ(row_of(word | kContended), 5U);
}

TEST(Owner, words_of_a_row_differ_from_process_to_process) {
    EXPECT_NE(owner_word(3, 1), owner_word(3, 2));
    EXPECT_NE(owner_word(3, kEpochMax), owner_word(3, 0));
    // Also in the half that the futex compares, for as long as 2^15 processes of one row.
    EXPECT_NE(static_cast<std::uint32_t>(owner_word(3, 1)),
              static_cast<std::uint32_t>(owner_word(3, 2)));
}

}  // namespace
}  // namespace ndshare::sync
