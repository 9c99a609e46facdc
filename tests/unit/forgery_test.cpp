// Descriptors that agree with themselves and have the right checksum, and still must not be used:
// each differs from a good one in what one check alone looks at.
#include <gtest/gtest.h>

#include <functional>

#include "base/check.h"
#include "layout/descriptor.h"
#include "layout/service.h"
#include "layout/stream.h"
#include "support/segment_plan.h"

namespace ndshare::layout {
namespace {

using support::forged_page;
using support::last_page;
using support::plan_of;

Description read(const SegmentPlan& plan, const std::function<void(Descriptor&)>& change = {}) {
    Descriptor d = describe(plan);
    std::string page = last_page(descriptor_pages(d, plan.dtype));
    if (change) {
        change(d);
        page = forged_page(d, plan.dtype);
    }
    return read_descriptor_page(page, d.file_bytes, 4096);
}

SegmentPlan stream_of(std::int64_t slots) {
    Field field;
    field.dtype = "<f4";
    field.shape = {4};
    const SlotPlan slot = plan_slot({field});
    SegmentPlan plan = plan_of("u1", {slots});
    plan.kind = kKindStream;
    plan.dtype = fields_text(slot.fields);
    plan.itemsize = slot.slot_bytes;
    plan.data_bytes = static_cast<std::uint64_t>(slots) * slot.slot_bytes;
    return plan;
}

SegmentPlan service_of(std::uint32_t slots) {
    Field in;
    in.name = "x";
    in.dtype = "<f4";
    Field out = in;
    out.result = true;
    const ServicePlan pool = plan_service({in, out}, slots);
    SegmentPlan plan = plan_of("u1", {1});
    plan.kind = kKindService;
    plan.dtype = service_text(pool);
    plan.slot_count = slots;
    plan.itemsize = plan.data_bytes = pool.pool_bytes;
    return plan;
}

TEST(Forgery, of_the_pages_size_is_noticed_where_all_offsets_follow_it) {
    SegmentPlan plan = plan_of("u1", {10});
    plan.page_bytes = 12288;
    EXPECT_THROW((void)read(plan), CorruptBytes);
    plan.page_bytes = 8192;
    EXPECT_NO_THROW((void)read(plan));
}

TEST(Forgery, of_the_offset_of_the_data_is_noticed_where_all_offsets_follow_it) {
    SegmentPlan plan = plan_of("u1", {10});
    for (const auto& [bytes, good] :
         {std::pair{0, false}, {4096, true}, {6144, false}, {61440, true}, {65536, false}}) {
        plan.npy_header.assign(static_cast<std::size_t>(bytes), ' ');
        if (good) {
            EXPECT_NO_THROW((void)read(plan)) << bytes;
        } else {
            EXPECT_THROW((void)read(plan), CorruptBytes) << bytes;
        }
    }
}

TEST(Forgery, of_a_dtype_longer_than_a_preamble_holds_is_noticed) {
    SegmentPlan plan = plan_of("u1", {10});
    plan.dtype.assign(61440, 'x');
    EXPECT_NO_THROW((void)read(plan));  // what it means is looked at in step 2
    plan.dtype.assign(61441, 'x');
    EXPECT_THROW((void)read(plan), CorruptBytes);
}

TEST(Forgery, of_a_name_is_one_from_no_byte_on) {
    EXPECT_EQ(read(plan_of("u1", {10}, "a")).name, "a");
    EXPECT_THROW((void)read(plan_of("u1", {10}, "")), CorruptBytes);
}

TEST(Forgery, of_slots_in_an_array_is_noticed) {
    EXPECT_THROW((void)read(plan_of("u1", {10}), [](Descriptor& d) { d.slot_count = 3; }),
                 CorruptBytes);
}

TEST(Forgery, of_the_number_of_slots_is_noticed_where_all_offsets_follow_it) {
    EXPECT_NO_THROW((void)read(stream_of(2)));
    EXPECT_NO_THROW((void)read(stream_of(4096)));
    EXPECT_THROW((void)read(stream_of(1)), CorruptBytes);
    EXPECT_THROW((void)read(stream_of(4097)), CorruptBytes);
    EXPECT_NO_THROW((void)read(service_of(1)));
    EXPECT_NO_THROW((void)read(service_of(4096)));
    EXPECT_THROW((void)read(service_of(0)), CorruptBytes);
    EXPECT_THROW((void)read(service_of(4097)), CorruptBytes);
}

TEST(Forgery, of_what_all_streams_and_services_agree_on_is_noticed) {
    for (const SegmentPlan& plan : {stream_of(8), service_of(8)}) {
        EXPECT_THROW((void)read(plan, [](Descriptor& d) { ++d.end_count; }), CorruptBytes);
        EXPECT_THROW((void)read(plan, [](Descriptor& d) { ++d.frame_attrs_bytes; }), CorruptBytes);
        const auto second_axis = [](Descriptor& d) {
            d.dim_count = 2;
            d.shape[1] = 1;
        };
        EXPECT_THROW((void)read(plan, second_axis), CorruptBytes);
        EXPECT_THROW((void)read(plan, [](Descriptor& d) { ++d.shape[0]; }), CorruptBytes);
        EXPECT_THROW((void)read(plan, [](Descriptor& d) { d.shape[0] = 0; }), CorruptBytes);
    }
    const auto two_pools = [](Descriptor& d) {
        d.shape[0] = 2;
        d.itemsize_bytes /= 2;
    };
    EXPECT_THROW((void)read(service_of(8), two_pools), CorruptBytes);
}

TEST(Flags, say_each_its_own) {
    SegmentPlan plan = plan_of("u1", {10});
    EXPECT_EQ(describe(plan).flags, 0U);
    plan.persistent = true;
    EXPECT_EQ(describe(plan).flags, kFlagPersistent);
    plan.fortran = true;
    EXPECT_EQ(describe(plan).flags, kFlagPersistent | kFlagFortran);
}

}  // namespace
}  // namespace ndshare::layout
