// What a service's pool and words look like.
#include <gtest/gtest.h>

#include "base/check.h"
#include "layout/descriptor.h"
#include "layout/service.h"

namespace ndshare::layout {
namespace {

Field field(const std::string& name, const std::string& dtype, std::vector<std::int64_t> shape,
            bool result = false, bool variable = false) {
    Field made;
    made.name = name;
    made.dtype = dtype;
    made.shape = std::move(shape);
    made.result = result;
    made.variable = variable;
    return made;
}

std::vector<Field> detector() {
    return {field("image", "|u1", {320, 320, 3}), field("scale", "<f4", {}),
            field("boxes", "<f4", {20, 6}, true, true), field("image", "|u1", {2}, true)};
}

TEST(ServiceLayout, each_field_of_all_slots_is_one_array) {
    const ServicePlan plan = plan_service(detector(), 8);
    ASSERT_EQ(plan.inputs.size(), 2U);
    ASSERT_EQ(plan.results.size(), 2U);
    const Field& image = plan.inputs[0];
    EXPECT_EQ(image.stride_bytes, 320U * 320 * 3);
    EXPECT_EQ(image.offset_bytes % 4096, 0U);
    EXPECT_EQ(plan.inputs[1].stride_bytes, 4U);
    EXPECT_GE(plan.inputs[1].offset_bytes, image.offset_bytes + 8 * image.stride_bytes);
}

TEST(ServiceLayout, nothing_in_the_pool_overlaps) {
    const std::size_t slots = 5;
    const ServicePlan plan = plan_service(detector(), slots);
    struct Part {
        std::uint64_t begin, end;
    };
    std::vector<Part> parts;
    for (const auto* side : {&plan.inputs, &plan.results}) {
        for (const Field& f : *side) {
            parts.push_back({f.offset_bytes, f.offset_bytes + slots * f.stride_bytes});
            if (!f.variable) continue;
            for (std::size_t s = 0; s < slots; ++s) {
                const std::uint64_t at = f.shape_offset_bytes + s * plan.extras_stride_bytes;
                parts.push_back({at, at + f.shape.size() * 8});
            }
        }
    }
    for (std::size_t s = 0; s < slots; ++s) {
        const std::uint64_t at = plan.error_offset_bytes + s * plan.extras_stride_bytes;
        parts.push_back({at, at + kErrorBytes});
    }
    std::sort(parts.begin(), parts.end(),
              [](const Part& a, const Part& b) { return a.begin < b.begin; });
    for (std::size_t k = 1; k < parts.size(); ++k) EXPECT_LE(parts[k - 1].end, parts[k].begin);
    EXPECT_LE(parts.back().end, plan.pool_bytes);
}

TEST(ServiceLayout, its_text_leads_back_to_the_same_plan) {
    const ServicePlan plan = plan_service(detector(), 8);
    const ServicePlan again = plan_service_of(service_text(plan), 8);
    EXPECT_EQ(service_text(again), service_text(plan));
    EXPECT_EQ(again.pool_bytes, plan.pool_bytes);
    EXPECT_EQ(again.results[0].shape_offset_bytes, plan.results[0].shape_offset_bytes);
}

TEST(ServiceLayout, what_cannot_be_is_refused) {
    const auto refused = [](std::vector<Field> fields) {
        EXPECT_THROW((void)plan_service(std::move(fields), 4), Invalid);
    };
    const Field in = field("x", "<f4", {2}), out = field("y", "<f4", {2}, true);
    refused({});
    refused({in});
    refused({out});
    refused({in, in, out});
    refused({field("", "<f4", {2}), out});
    refused({field("x", "object", {2}), out});
    Field fortran = in;
    fortran.fortran = true;
    refused({fortran, out});
    refused({field("x", "<f8", {std::int64_t{1} << 58}), out});
}

TEST(ServiceLayout, a_descriptor_says_what_it_is_and_damage_is_noticed) {
    const ServicePlan pool = plan_service(detector(), 8);
    SegmentPlan plan;
    plan.full_name = "detector";
    plan.kind = kKindService;
    plan.dtype = service_text(pool);
    plan.npy_header.assign(4096, ' ');
    plan.shape = {1};
    plan.slot_count = 8;
    plan.itemsize = plan.data_bytes = pool.pool_bytes;
    const Descriptor d = describe(plan);
    EXPECT_EQ(d.control_bytes, control_bytes_of_service(8));
    const std::string pages = descriptor_pages(d, plan.dtype);
    const std::string page = pages.substr(pages.size() - kDescriptorPageBytes);
    const Description found = read_descriptor_page(page, d.file_bytes, 4096);
    EXPECT_TRUE(found.is_service());
    EXPECT_EQ(found.fields.slot_count, 8U);
    for (const std::size_t at : {offsetof(Descriptor, slot_count), offsetof(Descriptor, kind),
                                 offsetof(Descriptor, end_count), sizeof(Descriptor) + 3}) {
        std::string damaged = page;
        damaged[at] = static_cast<char>(damaged[at] ^ 1);
        EXPECT_THROW((void)read_descriptor_page(damaged, d.file_bytes, 4096), CorruptBytes) << at;
    }
}

TEST(ServiceLayout, words_of_different_writers_lie_in_different_places) {
    const ServicePlaces places = service_places(64);
    EXPECT_GE(places.lines_offset, places.states_offset + 64 * sizeof(Word64));
    EXPECT_EQ(places.lines_offset % kCacheLine, 0U);
    EXPECT_EQ(places.ends_offset % kCacheLine, 0U);
    EXPECT_EQ(places.workers_offset % kCacheLine, 0U);
    EXPECT_GE(places.bytes, places.workers_offset + kEndCount * sizeof(WorkerLine));
}

}  // namespace
}  // namespace ndshare::layout
