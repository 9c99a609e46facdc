// What a slot holds and where: pure arithmetic, and text that another process may have written.
#include <gtest/gtest.h>

#include "base/check.h"
#include "layout/dtype.h"
#include "layout/stream.h"
#include "support/segment_plan.h"
#include "sync/slot_ring.h"

namespace ndshare::layout {
namespace {

Field field(const std::string& name, const std::string& dtype, std::vector<std::int64_t> shape,
            bool variable = false) {
    Field made;
    made.name = name;
    made.dtype = dtype;
    made.shape = std::move(shape);
    made.variable = variable;
    return made;
}

TEST(SlotPlan, fields_begin_at_cache_lines_and_do_not_overlap) {
    const SlotPlan plan = plan_slot({field("boxes", "f4", {300, 6}, true), field("n", "u8", {}),
                                     field("name", "S7", {3}, true)});
    EXPECT_EQ(plan.fields[0].offset_bytes, 0U);
    EXPECT_EQ(plan.fields[0].max_bytes, 7200U);
    EXPECT_EQ(plan.fields[1].offset_bytes, 7232U);
    EXPECT_EQ(plan.fields[2].offset_bytes, 7296U);
    EXPECT_EQ(plan.fields[0].shape_offset_bytes, 7320U);  // after 21 bytes of text, from 8
    EXPECT_EQ(plan.fields[2].shape_offset_bytes, 7336U);
    EXPECT_EQ(plan.attrs_offset_bytes, 7344U);
    EXPECT_EQ(plan.slot_bytes % 64, 0U);
    EXPECT_GE(plan.slot_bytes, plan.attrs_offset_bytes + kFrameAttrsBytes);
}

TEST(SlotPlan, large_slots_begin_at_pages) {
    EXPECT_EQ(plan_slot({field("", "u1", {1080, 1920, 3})}).slot_bytes % 4096, 0U);
    EXPECT_EQ(plan_slot({field("", "u1", {48})}).slot_bytes, 1088U);
}

TEST(SlotPlan, its_text_leads_back_to_it) {
    auto fortran = field("m", "[('a', '<f4'), ('b', '<i2', (3,))]", {4, 0, 5}, true);
    fortran.fortran = true;
    fortran.aligned = true;
    const SlotPlan plan = plan_slot({fortran, field("größe", "bfloat16", {})});
    const SlotPlan again = plan_slot(parse_field_lines(fields_text(plan.fields)));
    EXPECT_EQ(fields_text(again.fields), fields_text(plan.fields));
    EXPECT_EQ(again.slot_bytes, plan.slot_bytes);
    EXPECT_TRUE(again.fields[0].fortran);
    EXPECT_TRUE(again.fields[0].variable);
    EXPECT_TRUE(again.fields[0].aligned);
    EXPECT_EQ(again.fields[0].shape, (std::vector<std::int64_t>{4, 0, 5}));
    EXPECT_EQ(again.fields[1].dtype, "bfloat16");
}

TEST(SlotPlan, what_cannot_be_is_refused) {
    EXPECT_THROW((void)plan_slot({}), Invalid);
    EXPECT_THROW((void)plan_slot({field("a", "f4", {}), field("a", "f4", {})}), Invalid);
    EXPECT_THROW((void)plan_slot({field("a", "f4", {}), field("", "f4", {})}), Invalid);
    EXPECT_THROW((void)plan_slot({field("a\tb", "f4", {})}), Invalid);
    EXPECT_THROW((void)plan_slot({field("a", "O", {})}), Invalid);
    EXPECT_THROW((void)plan_slot({field("a", "f4", {-1})}), Invalid);
    EXPECT_THROW((void)plan_slot({field("a", "u1", {std::int64_t{1} << 61}),
                                  field("b", "u1", {std::int64_t{1} << 61})}),
                 Invalid);
    EXPECT_THROW((void)plan_slot(std::vector<Field>(65, field("a", "f4", {}))), Invalid);
}

TEST(SlotPlan, damaged_text_is_refused) {
    for (const char* text : {"", "a", "a\t-\t3\tf4", "a\t-\tx\tf4\n", "a\tq\t3\tf4\n", "a\t-\t3\n",
                             "a\t-\t3,\tf4\n", "a\t-\t99999999999999999999\tf4\n"}) {
        EXPECT_THROW((void)plan_slot(parse_field_lines(text)), Invalid) << text;
    }
}

TEST(SlotPlan, the_pool_is_an_array_of_records_for_numpy) {
    const SlotPlan plan = plan_slot({field("x", "f4", {5, 5}), field("it's", "u1", {})});
    EXPECT_EQ(npy_descr_of_pool(plan),
              "[('x', '<f4', (5,5,)), ('', '|V28'), ('it\\'s', '|u1'), ('', '|V1087')]");
    EXPECT_EQ(parse_dtype(npy_descr_of_pool(plan)).itemsize, plan.slot_bytes);
}

TEST(StreamPlaces, everything_has_a_line_of_its_own) {
    for (const std::size_t slots : {2, 8, 9, 64, 256, 257, 4096}) {
        const auto places = stream_places(slots);
        EXPECT_GE(places.ring_count, 2 * slots);
        EXPECT_EQ(places.ring_count & (places.ring_count - 1), 0U);
        EXPECT_EQ(places.slots_offset % 64, 0U);
        EXPECT_EQ(places.end_bytes % 64, 0U);
        EXPECT_GE(places.end_bytes, 32 + (slots + 63) / 64 * 8);
        EXPECT_EQ(places.bytes % 4096, 0U);
    }
}

TEST(StreamDescriptor, comes_back_and_a_wrong_slot_count_is_refused) {
    const SlotPlan slot = plan_slot({field("", "f4", {4, 5})});
    SegmentPlan plan = support::plan_of("u1", {8});
    plan.kind = kKindStream;
    plan.dtype = fields_text(slot.fields);
    plan.itemsize = slot.slot_bytes;
    plan.data_bytes = 8 * slot.slot_bytes;
    const Descriptor d = describe(plan);
    const auto pages = descriptor_pages(d, plan.dtype);
    const auto found = read_descriptor_page(support::last_page(pages), d.file_bytes, 4096);
    EXPECT_TRUE(found.is_stream());
    EXPECT_EQ(found.dtype, plan.dtype);
    for (const std::uint32_t count : {0U, 1U, 7U, 4097U, 0xffffffffU}) {
        Descriptor forged = d;
        forged.slot_count = count;
        EXPECT_THROW((void)read_descriptor_page(support::forged_page(forged, plan.dtype),
                                                forged.file_bytes, 4096),
                     CorruptBytes);
    }
    Descriptor array = d;
    array.kind = kKindArray;
    EXPECT_THROW(
        (void)read_descriptor_page(support::forged_page(array, plan.dtype), array.file_bytes, 4096),
        CorruptBytes);
}

}  // namespace
}  // namespace ndshare::layout

namespace ndshare::sync {
namespace {

TEST(SeqNumbers, distances_know_of_the_wrap) {
    EXPECT_EQ(seq_distance(5, 3), 2);
    EXPECT_EQ(seq_distance(3, 5), -2);
    EXPECT_EQ(seq_distance(1, kSeqMask), 2);
    EXPECT_EQ(seq_distance(kSeqMask, 1), -2);
    const std::uint64_t full = (std::uint64_t{7} << 48) + 3;
    EXPECT_EQ(full_seq((full - 5) & kSeqMask, full), full - 5);
    EXPECT_EQ(full_seq((full + 5) & kSeqMask, full), full + 5);
}

TEST(SlotWords, say_what_was_put_in) {
    const std::uint64_t owner = owner_word(247, 0x1234567);
    const std::uint64_t word = owned_word(SlotKind::ready, owner, 0xabcdef);
    EXPECT_EQ(kind_of(word), SlotKind::ready);
    EXPECT_EQ(word >> 8 & 0xff, 247U);
    EXPECT_EQ(word >> 2 & kSlotEpochMask, 0x1234567U & kSlotEpochMask);
    EXPECT_EQ(seq_of(word), 0xabcdefU);
    EXPECT_EQ(slot_of(place_word(9, 4095)), 4095U);
    EXPECT_FALSE(has_slot(std::uint64_t{9} << kSeqShift));
    EXPECT_TRUE(is_ended(place_word(9, 3) | kEndedMark));
}

}  // namespace
}  // namespace ndshare::sync
