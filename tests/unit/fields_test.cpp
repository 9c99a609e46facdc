// The text of fields and what NumPy is told of them: exactly these spellings, up to these sizes.
#include "layout/fields.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/check.h"
#include "layout/descriptor.h"
#include "layout/service.h"
#include "layout/stream.h"

namespace ndshare::layout {
namespace {

Field field(const std::string& name, const std::string& dtype = "|u1",
            std::vector<std::int64_t> shape = {}) {
    Field made;
    made.name = name;
    made.dtype = dtype;
    made.shape = std::move(shape);
    return made;
}

TEST(FieldsText, has_a_letter_for_each_flag) {
    Field all = field("x", "<f4", {2, 3});
    all.variable = all.fortran = all.aligned = all.object = all.result = true;
    EXPECT_EQ(fields_text({all, field("y")}), "x\tvfaor\t2,3\t<f4\ny\t-\t\t|u1\n");
    const auto again = parse_field_lines(fields_text({all, field("y")}));
    ASSERT_EQ(again.size(), 2U);
    for (const bool set : {again[0].variable, again[0].fortran, again[0].aligned, again[0].object,
                           again[0].result}) {
        EXPECT_TRUE(set);
    }
    for (const bool set : {again[1].variable, again[1].fortran, again[1].aligned, again[1].object,
                           again[1].result}) {
        EXPECT_FALSE(set);
    }
}

TEST(FieldsText, is_cut_at_the_first_three_tabs) {
    EXPECT_EQ(parse_field_lines("a\t-\t3\tf4\tx\n")[0].dtype, "f4\tx");
}

TEST(FieldsText, of_sixty_four_dimensions_is_read) {
    const Field wide = field("a", "|u1", std::vector<std::int64_t>(64, 1));
    EXPECT_EQ(parse_field_lines(fields_text({wide}))[0].shape, wide.shape);
}

TEST(FieldsText, with_a_damaged_extent_is_refused) {
    for (const char* text : {"a\t-\t3x\tf4\n", "a\t-\t3,4 \tf4\n", "a\t-\t,3\tf4\n"}) {
        EXPECT_THROW((void)parse_field_lines(text), Invalid) << text;
    }
}

TEST(FieldNames, have_at_most_200_bytes_and_no_control_characters) {
    const auto completed = [](const std::string& name) {
        std::vector<Field> fields{field(name)};
        complete_fields(fields);
    };
    EXPECT_NO_THROW(completed(std::string(200, 'x')));
    EXPECT_NO_THROW(completed("a field"));
    EXPECT_THROW(completed(std::string(201, 'x')), Invalid);
    EXPECT_THROW(completed("a\x7f"), Invalid);
    EXPECT_THROW(completed("a\x1f"), Invalid);
}

TEST(Fields, are_at_most_sixty_four) {
    std::vector<Field> fields;
    for (int k = 0; k < 64; ++k) fields.push_back(field("f" + std::to_string(k)));
    EXPECT_NO_THROW(complete_fields(fields));
    fields.push_back(field("f64"));
    EXPECT_THROW(complete_fields(fields), Invalid);
}

TEST(Fields, get_their_dtype_s_one_spelling) {
    std::vector<Field> fields{field("a", "f4", {3})};
    complete_fields(fields);
    EXPECT_EQ(fields[0].dtype, "<f4");
    EXPECT_EQ(fields[0].npy_descr, "'<f4'");
    EXPECT_EQ(fields[0].max_bytes, 12U);
}

TEST(FieldsOfNumpy, have_a_name_and_the_order_of_their_bytes) {
    Field one = field("", "<f4", {2, 3});
    one.npy_descr = "'<f4'";
    EXPECT_EQ(npy_descr_of(one, 0), "('array', '<f4', (2,3,))");
    EXPECT_EQ(npy_descr_of(one, 5), "('array', '<f4', (5,2,3,))");
    one.name = "it's\\";
    one.fortran = true;
    EXPECT_EQ(npy_descr_of(one, 5), "('it\\'s\\\\', '<f4', (5,3,2,))");
    one.shape = {};
    EXPECT_EQ(npy_descr_of(one, 0), "('it\\'s\\\\', '<f4')");
}

TEST(Cursor, goes_up_to_two_to_the_sixty_two) {
    constexpr auto kMost = std::uint64_t{1} << 62;
    Cursor cursor;
    EXPECT_EQ(cursor.advance(kMost, 1), 0U);
    EXPECT_EQ(cursor.at(), kMost);
    EXPECT_THROW((void)cursor.advance(1, 1), Invalid);
    Cursor other;
    EXPECT_EQ(other.advance(kMost - 1, 1), 0U);
    EXPECT_THROW((void)other.advance(std::numeric_limits<std::uint64_t>::max(), 1), Invalid);
}

TEST(SlotPlanOfAnObject, is_that_of_one_field_that_is_one) {
    Field object = field("", "|u1", {100});
    object.object = true;
    EXPECT_TRUE(plan_slot({object}).is_object());
    EXPECT_FALSE(plan_slot({field("", "|u1", {100})}).is_object());
    Field first = object;
    first.name = "a";
    EXPECT_FALSE(plan_slot({first, field("b")}).is_object());
}

// ---- streams ------------------------------------------------------------------------------------

TEST(StreamSlot, is_a_multiple_of_lines_and_from_sixteen_pages_on_of_pages) {
    const auto slot_bytes = [](std::int64_t bytes) {
        return plan_slot({field("", "|u1", {bytes})}).slot_bytes;
    };
    EXPECT_EQ(slot_bytes(64), 64 + kFrameAttrsBytes);
    EXPECT_EQ(slot_bytes(65), 128 + kFrameAttrsBytes);
    const auto pages = static_cast<std::int64_t>(16 * 4096 - kFrameAttrsBytes);
    EXPECT_EQ(slot_bytes(pages - 64), 16U * 4096 - 64);
    EXPECT_EQ(slot_bytes(pages), 16U * 4096);
    EXPECT_EQ(slot_bytes(pages + 64), 17U * 4096);
}

TEST(StreamSlot, has_room_for_the_extents_of_variable_fields_only) {
    Field one = field("", "|u1", {64});
    EXPECT_EQ(plan_slot({one}).attrs_offset_bytes, 64U);
    one.variable = true;
    EXPECT_EQ(plan_slot({one}).attrs_offset_bytes, 72U);
}

TEST(StreamSlot, has_no_results) {
    Field result = field("x");
    result.result = true;
    EXPECT_THROW((void)plan_slot({result}), Invalid);
}

TEST(StreamRing, has_twice_the_slots_and_at_least_sixteen) {
    EXPECT_EQ(stream_places(2).ring_count, 16U);
    EXPECT_EQ(stream_places(8).ring_count, 16U);
    EXPECT_EQ(stream_places(9).ring_count, 32U);
    EXPECT_EQ(stream_places(16).ring_count, 32U);
}

// ---- where words are ----------------------------------------------------------------------------

TEST(Places, are_counted_from_the_begin_of_the_control_region) {
    std::vector<std::uint64_t> words((256U << 10) / 8);
    auto* const base = reinterpret_cast<std::byte*>(words.data());
    const auto offset = [&](const auto& what) {
        return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(&what) - base);
    };
    const Control common(base);
    EXPECT_TRUE(common);
    EXPECT_FALSE(Control());
    EXPECT_EQ(offset(*common.attrs_text(0)), kAttrsOffset);
    EXPECT_EQ(offset(*common.attrs_text(1)), kAttrsOffset + kAttrsCapacityBytes);
    const StreamControl stream(base, 8);
    const StreamPlaces in_stream = stream_places(8);
    EXPECT_EQ(offset(stream.ring(17)), kControlBytes + sizeof(Word64));
    EXPECT_EQ(offset(stream.slot(1)), kControlBytes + in_stream.slots_offset + sizeof(SlotLine));
    EXPECT_EQ(offset(stream.end(2)),
              kControlBytes + in_stream.ends_offset + 2 * in_stream.end_bytes);
    const ServiceControl service(base, 8);
    const ServicePlaces in_service = service_places(8);
    EXPECT_EQ(offset(service.service()), kControlBytes);
    EXPECT_EQ(offset(service.state(1)), kControlBytes + in_service.states_offset + sizeof(Word64));
    EXPECT_EQ(offset(service.line(1)),
              kControlBytes + in_service.lines_offset + sizeof(RequestLine));
    EXPECT_EQ(offset(service.end(1)), kControlBytes + in_service.ends_offset + sizeof(End));
    EXPECT_EQ(offset(service.worker(1)),
              kControlBytes + in_service.workers_offset + sizeof(WorkerLine));
    EXPECT_EQ(in_service.workers_offset, in_service.ends_offset + kEndCount * sizeof(End));
}

// ---- services -----------------------------------------------------------------------------------

TEST(ServicePool, is_an_array_of_one_record_for_numpy) {
    Field out = field("y", "<f4", {2});
    out.result = true;
    const ServicePlan plan = plan_service({field("x", "|u1", {3}), out}, 4);
    // 12 bytes of x, from 64 on 32 of y, from 128 on 4 slots' extras of 4096 bytes.
    EXPECT_EQ(plan.error_offset_bytes, 128U);
    EXPECT_EQ(plan.pool_bytes, 128U + 4 * kErrorBytes);
    EXPECT_EQ(npy_descr_of_pool(plan, 4),
              "[('in.x', '|u1', (4,3,)), ('', '|V52'), ('out.y', '<f4', (4,2,)), ('', '|V16416')]");
}

TEST(ServicePool, has_room_for_the_extents_of_variable_fields_only) {
    Field out = field("y", "<f4", {2, 2});
    out.result = true;
    EXPECT_EQ(plan_service({field("x"), out}, 1).extras_stride_bytes, kErrorBytes);
    out.variable = true;
    EXPECT_EQ(plan_service({field("x"), out}, 1).extras_stride_bytes, kErrorBytes + 64);
}

TEST(ServicePool, has_fields_of_sixteen_pages_at_pages) {
    Field out = field("y");
    out.result = true;
    const auto offset_of = [&](std::int64_t bytes) {
        return plan_service({field("x"), field("z", "|u1", {bytes}), out}, 1)
            .inputs[1]
            .offset_bytes;
    };
    EXPECT_EQ(offset_of(16 * 4096), 4096U);
    EXPECT_EQ(offset_of(16 * 4096 - 1), 64U);
}

TEST(ServicePool, that_cannot_be_is_refused) {
    Field out = field("y");
    out.result = true;
    Field object = field("x");
    object.object = true;
    EXPECT_THROW((void)plan_service({object, out}, 1), Invalid);
    // Eight times as much is more than 64 bits hold.
    EXPECT_THROW((void)plan_service({field("x", "<f8", {std::int64_t{1} << 58}), out}, 8), Invalid);
    EXPECT_THROW((void)plan_service({field(""), out}, 1), Invalid);
    EXPECT_THROW((void)plan_service({field("")}, 1), Invalid);
}

TEST(ServicePlaces, that_are_aligned_already_leave_no_line_empty) {
    EXPECT_EQ(service_places(8).lines_offset, 2 * kCacheLine + 8 * sizeof(Word64));
    EXPECT_EQ(service_places(9).lines_offset, 2 * kCacheLine + 16 * sizeof(Word64));
}

}  // namespace
}  // namespace ndshare::layout
