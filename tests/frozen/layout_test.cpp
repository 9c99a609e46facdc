// The bytes of a segment of each layout version, kept: what an older release wrote must stay
// readable or be refused with both versions named, and no byte may move by accident.
//
// NDSHARE_FREEZE=1 writes the file of the present version; older files stay as they are for ever.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/check.h"
#include "layout/control.h"
#include "support/segment_plan.h"

namespace ndshare::layout {
namespace {

std::string file_of(std::uint32_t version) {
    return std::string(NDSHARE_FROZEN_FOLDER) + "/array_layout_" + std::to_string(version) + ".bin";
}

std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

// Everything in it is fixed; every field that a plan can set is set.
SegmentPlan frozen_plan() {
    SegmentPlan plan = support::plan_of(
        "[('position', '<f8', (3,)), ('flags', '|u1'), ('', '|V7')]", {3, 1, 4}, "frozen/größe");
    plan.fortran = true;
    plan.aligned = true;
    plan.npy_header = make_npy_header(parse_dtype(plan.dtype).npy_descr, true, plan.shape);
    return plan;
}

// The header, then the descriptor page: what never changes in a segment.
std::string frozen_bytes() {
    const SegmentPlan plan = frozen_plan();
    return plan.npy_header + descriptor_pages(describe(plan), plan.dtype);
}

TEST(Frozen, no_byte_of_the_layout_has_moved) {
    const std::string now = frozen_bytes();
    const std::string path = file_of(kLayoutVersion);
    if (std::getenv("NDSHARE_FREEZE") != nullptr) {
        std::ofstream(path, std::ios::binary) << now;
    }
    const std::string then = read_file(path);
    ASSERT_FALSE(then.empty()) << path << " is missing: run this test with NDSHARE_FREEZE=1";
    ASSERT_EQ(now.size(), then.size()) << "the layout has changed: bump kLayoutVersion";
    for (std::size_t at = 0; at < now.size(); ++at) {
        ASSERT_EQ(now[at], then[at])
            << "the layout has changed at byte " << at << " (the descriptor begins at "
            << now.size() - kDescriptorPageBytes
            << "): bump kLayoutVersion, then run with NDSHARE_FREEZE=1";
    }
}

TEST(Frozen, the_kept_bytes_mean_what_they_meant) {
    const std::string bytes = read_file(file_of(1));
    ASSERT_EQ(bytes.size(), 2 * kDescriptorPageBytes);
    const std::string page = support::last_page(bytes);
    const Descriptor d = support::fields_of(page);
    if (kLayoutVersion != 1) {
        EXPECT_THROW((void)read_descriptor_page(page, d.file_bytes, 4096), CorruptBytes);
        return;
    }
    const Description found = read_descriptor_page(page, d.file_bytes, 4096);
    EXPECT_EQ(found.name, "frozen/größe");
    EXPECT_EQ(found.dtype, "[('position', '<f8', (3,)), ('flags', '|u1'), ('', '|V7')]");
    EXPECT_EQ(found.shape, (std::vector<std::int64_t>{3, 1, 4}));
    EXPECT_TRUE(found.fortran());
    EXPECT_TRUE(found.aligned());
    EXPECT_EQ(found.fields.generation, 1'700'000'000'000'000U);
    EXPECT_EQ(found.fields.data_offset_bytes, 4096U);
    EXPECT_EQ(found.fields.data_bytes, 384U);
    EXPECT_EQ(found.fields.control_offset_bytes, 8192U);
    EXPECT_EQ(found.fields.file_bytes, 8192U + kControlBytes + 4096);
}

TEST(Frozen, every_former_version_is_kept_and_named_when_it_is_met) {
    for (std::uint32_t version = 1; version < kLayoutVersion; ++version) {
        const std::string bytes = read_file(file_of(version));
        ASSERT_FALSE(bytes.empty()) << file_of(version);
        const std::string page = support::last_page(bytes);
        const Descriptor d = support::fields_of(page);
        try {
            (void)read_descriptor_page(page, d.file_bytes, 4096);
            FAIL() << "version " << version << " was accepted";
        } catch (const CorruptBytes& e) {
            EXPECT_NE(std::string(e.what()).find(std::to_string(version)), std::string::npos);
        }
    }
}

}  // namespace
}  // namespace ndshare::layout
