// The descriptor page: what is written is what is read, and nothing else is accepted.
#include "layout/descriptor.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>

#include "base/check.h"
#include "layout/control.h"
#include "support/segment_plan.h"

namespace ndshare::layout {
namespace {

using support::fields_of;
using support::forged_page;
using support::last_page;
using support::long_dtype;
using support::plan_of;

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

std::string refusal(const std::function<void()>& call) {
    try {
        call();
    } catch (const CorruptBytes& e) {
        return e.what();
    }
    return {};
}

// Writes, reads back, and compares everything.
void expect_round_trip(const SegmentPlan& plan) {
    const Descriptor d = describe(plan);
    const std::string pages = descriptor_pages(d, plan.dtype);
    Description found = read_descriptor_page(last_page(pages), d.file_bytes, 4096);
    if (plan.dtype.size() > kDtypeInlineBytes) {
        EXPECT_TRUE(found.dtype.empty());
        const std::uint64_t begin = d.file_bytes - pages.size();
        accept_dtype(found, pages.substr(d.dtype_offset_bytes - begin, d.dtype_bytes));
    }
    EXPECT_EQ(std::memcmp(&found.fields, &d, sizeof d), 0);
    EXPECT_EQ(found.name, plan.full_name);
    EXPECT_EQ(found.dtype, plan.dtype);
    EXPECT_EQ(found.shape, plan.shape);
    EXPECT_EQ(found.fortran(), plan.fortran);
    EXPECT_EQ(found.aligned(), plan.aligned);
}

// ---- sizes --------------------------------------------------------------------------------------

TEST(DataBytes, are_the_product) {
    EXPECT_EQ(data_bytes_of({}, 8), 8U);
    EXPECT_EQ(data_bytes_of({5, 5}, 8), 200U);
    EXPECT_EQ(data_bytes_of({1, 1, 1}, 3), 3U);
    EXPECT_EQ(data_bytes_of(std::vector<std::int64_t>(64, 1), 4), 4U);
}

TEST(DataBytes, of_an_empty_array_are_none_however_large_the_other_extents) {
    EXPECT_EQ(data_bytes_of({0}, 8), 0U);
    EXPECT_EQ(data_bytes_of({kHuge, 0}, 8), 0U);
    EXPECT_EQ(data_bytes_of({kHuge, kHuge, 0, kHuge}, 8), 0U);
    EXPECT_EQ(data_bytes_of({0, kHuge, kHuge}, 8), 0U);
    EXPECT_EQ(data_bytes_of({kHuge, kHuge}, 0), 0U);
}

TEST(DataBytes, that_overflow_are_refused) {
    EXPECT_THROW((void)data_bytes_of({kHuge}, 8), Invalid);
    EXPECT_THROW((void)data_bytes_of({kHuge, 2}, 1), Invalid);
    EXPECT_THROW((void)data_bytes_of({kHuge, kHuge}, 1), Invalid);
    EXPECT_THROW((void)data_bytes_of({std::int64_t{1} << 32, std::int64_t{1} << 32}, 1), Invalid);
    EXPECT_THROW((void)data_bytes_of({std::int64_t{1} << 62}, 1), Invalid);
    EXPECT_NO_THROW((void)data_bytes_of({(std::int64_t{1} << 62) - 1}, 1));
}

TEST(DataBytes, of_negative_extents_are_refused_also_beside_an_empty_one) {
    EXPECT_THROW((void)data_bytes_of({-1}, 8), Invalid);
    EXPECT_THROW((void)data_bytes_of({0, -1}, 8), Invalid);
    EXPECT_THROW((void)data_bytes_of({std::numeric_limits<std::int64_t>::min()}, 8), Invalid);
}

TEST(DataBytes, of_more_than_sixty_four_dimensions_are_refused) {
    EXPECT_NO_THROW((void)data_bytes_of(std::vector<std::int64_t>(64, 1), 8));
    EXPECT_THROW((void)data_bytes_of(std::vector<std::int64_t>(65, 1), 8), Invalid);
}

// ---- what is written is what is read ------------------------------------------------------------

TEST(Descriptor, comes_back_as_it_was_written) {
    expect_round_trip(plan_of("f8", {5, 5}));
    expect_round_trip(plan_of("f8", {}));
    expect_round_trip(plan_of("f8", {0}));
    expect_round_trip(plan_of("f8", {kHuge, 0}));
    expect_round_trip(plan_of("u1", std::vector<std::int64_t>(64, 1)));
    expect_round_trip(plan_of("u1", std::vector<std::int64_t>(64, 0)));
    expect_round_trip(plan_of("S0", {7}));
    expect_round_trip(plan_of("bfloat16", {3}));
    expect_round_trip(plan_of("[('größe', '<f4'), ('', '|V4')]", {2, 3}, "größe/日本語"));
    expect_round_trip(plan_of("u1", {1}, std::string(301, 'n')));
    expect_round_trip(plan_of("u1", {std::int64_t{1} << 40}));
}

TEST(Descriptor, keeps_its_flags) {
    for (const bool set : {false, true}) {
        SegmentPlan plan = plan_of("f8", {2, 2});
        plan.fortran = set;
        plan.aligned = !set;
        plan.persistent = set;
        expect_round_trip(plan);
    }
}

TEST(Descriptor, of_a_long_dtype_has_its_text_in_pages_of_its_own) {
    for (const std::size_t bytes :
         {kDtypeInlineBytes - 40, kDtypeInlineBytes + 1, std::size_t{4096}, std::size_t{4097},
          std::size_t{20000}, std::size_t{50000}}) {
        const SegmentPlan plan = plan_of(long_dtype(bytes), {3});
        const Descriptor d = describe(plan);
        const bool is_long = plan.dtype.size() > kDtypeInlineBytes;
        EXPECT_EQ(d.dtype_offset_bytes % 4096, is_long ? 0U : sizeof(Descriptor));
        EXPECT_GE(d.dtype_offset_bytes, d.control_offset_bytes + kControlBytes);
        expect_round_trip(plan);
    }
}

TEST(Descriptor, of_exactly_the_inline_size_is_inline) {
    // A name that makes the text as long as fits beside the descriptor, and one byte longer.
    for (const std::size_t extra : {0U, 1U}) {
        const std::string name(kDtypeInlineBytes - std::strlen("[('', '<f4')]") + extra, 'x');
        const SegmentPlan plan = plan_of("[('" + name + "', '<f4')]", {3});
        ASSERT_EQ(plan.dtype.size(), kDtypeInlineBytes + extra);
        const Descriptor d = describe(plan);
        EXPECT_EQ(d.dtype_offset_bytes > d.file_bytes - kDescriptorPageBytes, extra == 0);
        expect_round_trip(plan);
    }
}

TEST(Descriptor, places_everything_apart_and_on_pages) {
    for (const std::uint32_t page : {4096U, 16384U, 65536U}) {
        for (const std::int64_t count : {0, 1, 4095, 4096, 4097, 65536, 1000000}) {
            SegmentPlan plan = plan_of("u1", {count});
            plan.page_bytes = page;
            const Descriptor d = describe(plan);
            EXPECT_EQ(d.data_offset_bytes, plan.npy_header.size());
            EXPECT_GE(d.control_offset_bytes, d.data_offset_bytes + d.data_bytes);
            EXPECT_LT(d.control_offset_bytes, d.data_offset_bytes + d.data_bytes + page);
            EXPECT_EQ(d.control_offset_bytes % page, 0U);
            EXPECT_EQ(d.file_bytes % page, 0U);
            EXPECT_GE(d.file_bytes - kDescriptorPageBytes, d.control_offset_bytes + kControlBytes);
            expect_round_trip(plan);
        }
    }
}

TEST(Descriptor, made_for_larger_pages_opens_where_they_are_smaller) {
    SegmentPlan plan = plan_of("u1", {10});
    plan.page_bytes = 65536;
    const Descriptor d = describe(plan);
    const std::string page = last_page(descriptor_pages(d, plan.dtype));
    EXPECT_NO_THROW((void)read_descriptor_page(page, d.file_bytes, 4096));
    EXPECT_NO_THROW((void)read_descriptor_page(page, d.file_bytes, 16384));
    EXPECT_NO_THROW((void)read_descriptor_page(page, d.file_bytes, 65536));
}

// ---- and nothing else ---------------------------------------------------------------------------

class Damaged : public testing::Test {
 protected:
    const SegmentPlan plan = plan_of("[('a', '<f4'), ('b', '<i2', (3,))]", {5, 5});
    const Descriptor written = describe(plan);
    const std::string page = last_page(descriptor_pages(written, plan.dtype));

    std::string refusal_of(const std::string& bytes) const {
        return refusal([&] { (void)read_descriptor_page(bytes, written.file_bytes, 4096); });
    }
    // The checksum is right: only the meaning can tell.
    void expect_forgery_refused(const std::function<void(Descriptor&)>& change) {
        Descriptor d = written;
        change(d);
        const std::string forged = forged_page(d, plan.dtype);
        EXPECT_THROW((void)read_descriptor_page(forged, d.file_bytes, 4096), CorruptBytes);
    }
};

TEST_F(Damaged, every_single_flipped_bit_is_noticed) {
    const std::size_t used = sizeof(Descriptor) + plan.dtype.size();
    for (std::size_t bit = 0; bit < page.size() * 8; ++bit) {
        std::string bytes = page;
        bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
        if (bit / 8 < used) {
            EXPECT_NE(refusal_of(bytes), "") << "bit " << bit;
            continue;
        }
        // Padding behind the dtype's text: nobody reads it.
        Description found{};
        ASSERT_NO_THROW(found = read_descriptor_page(bytes, written.file_bytes, 4096)) << bit;
        EXPECT_EQ(std::memcmp(&found.fields, &written, sizeof written), 0);
        EXPECT_EQ(found.dtype, plan.dtype);
    }
}

TEST_F(Damaged, every_single_flipped_bit_of_a_long_dtype_is_noticed) {
    const SegmentPlan long_plan = plan_of(long_dtype(5000), {2});
    const Descriptor d = describe(long_plan);
    const std::string pages = descriptor_pages(d, long_plan.dtype);
    const Description first = read_descriptor_page(last_page(pages), d.file_bytes, 4096);
    for (std::size_t bit = 0; bit < long_plan.dtype.size() * 8; ++bit) {
        std::string text = long_plan.dtype;
        text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
        Description found = first;
        EXPECT_THROW(accept_dtype(found, text), CorruptBytes) << "bit " << bit;
    }
    Description found = first;
    EXPECT_THROW(accept_dtype(found, long_plan.dtype.substr(1)), CorruptBytes);
    EXPECT_THROW(accept_dtype(found, long_plan.dtype + " "), CorruptBytes);
    EXPECT_THROW(accept_dtype(found, ""), CorruptBytes);
}

TEST_F(Damaged, a_page_that_is_cut_off_is_refused) {
    for (std::size_t bytes = 0; bytes < page.size(); bytes += 61) {
        EXPECT_NE(refusal_of(page.substr(0, bytes)), "");
    }
    EXPECT_NE(refusal_of(page + "x"), "");
}

TEST_F(Damaged, a_file_of_another_size_is_called_truncated_with_both_sizes) {
    for (const std::uint64_t bytes : {written.file_bytes - 4096, written.file_bytes + 4096,
                                      std::uint64_t{4096}, std::uint64_t{0}}) {
        const std::string text = refusal([&] { (void)read_descriptor_page(page, bytes, 4096); });
        EXPECT_NE(text.find("truncated"), std::string::npos) << text;
        EXPECT_NE(text.find(std::to_string(bytes)), std::string::npos) << text;
        EXPECT_NE(text.find(std::to_string(written.file_bytes)), std::string::npos) << text;
    }
}

TEST_F(Damaged, a_stranger_is_called_one) {
    EXPECT_NE(refusal_of(std::string(4096, '\0')).find("no ndshare segment"), std::string::npos);
    EXPECT_NE(refusal_of(std::string(4096, '\xff')).find("no ndshare segment"), std::string::npos);
}

TEST_F(Damaged, another_layout_version_is_named_with_ours) {
    Descriptor d = written;
    d.layout_version = kLayoutVersion + 6;
    const std::string text = refusal_of(forged_page(d, plan.dtype));
    EXPECT_NE(text.find("version is " + std::to_string(kLayoutVersion + 6)), std::string::npos);
    EXPECT_NE(text.find("speaks " + std::to_string(kLayoutVersion)), std::string::npos);
}

TEST_F(Damaged, the_other_byte_order_is_named) {
    Descriptor d = written;
    d.byte_order_mark = __builtin_bswap32(kByteOrderMark);
    EXPECT_NE(refusal_of(forged_page(d, plan.dtype)).find("byte order"), std::string::npos);
}

TEST_F(Damaged, pages_smaller_than_the_systems_are_named_with_both_sizes) {
    const std::string text =
        refusal([&] { (void)read_descriptor_page(page, written.file_bytes, 65536); });
    EXPECT_NE(text.find("pages of 4096"), std::string::npos) << text;
    EXPECT_NE(text.find("65536"), std::string::npos) << text;
}

TEST_F(Damaged, fields_that_contradict_each_other_are_refused_under_a_right_checksum) {
    expect_forgery_refused([](Descriptor& d) { d.kind = kKindStream; });
    expect_forgery_refused([](Descriptor& d) { d.kind = 0; });
    expect_forgery_refused([](Descriptor& d) { d.flags |= 8; });
    expect_forgery_refused([](Descriptor& d) { d.page_bytes = 0; });
    expect_forgery_refused([](Descriptor& d) { d.page_bytes = 2048; });
    expect_forgery_refused([](Descriptor& d) { d.page_bytes = 12288; });
    expect_forgery_refused([](Descriptor& d) { d.page_bytes = 1U << 31; });
    expect_forgery_refused([](Descriptor& d) { d.file_bytes += 4096; });
    expect_forgery_refused([](Descriptor& d) { d.file_bytes = ~std::uint64_t{0}; });
    expect_forgery_refused([](Descriptor& d) { d.data_offset_bytes = 0; });
    expect_forgery_refused([](Descriptor& d) { d.data_offset_bytes = 4097; });
    expect_forgery_refused([](Descriptor& d) { d.data_offset_bytes = 1 << 20; });
    expect_forgery_refused([](Descriptor& d) { d.data_bytes += 1; });
    expect_forgery_refused([](Descriptor& d) { d.data_bytes = ~std::uint64_t{0}; });
    expect_forgery_refused([](Descriptor& d) { d.control_offset_bytes += 4096; });
    expect_forgery_refused([](Descriptor& d) { d.control_bytes -= 64; });
    expect_forgery_refused([](Descriptor& d) { d.itemsize_bytes = 0; });
    expect_forgery_refused([](Descriptor& d) { d.itemsize_bytes += 1; });
    expect_forgery_refused([](Descriptor& d) { d.dtype_offset_bytes = 0; });
    expect_forgery_refused([](Descriptor& d) { d.dtype_bytes -= 1; });
    expect_forgery_refused([](Descriptor& d) { d.dtype_bytes = 0; });
    expect_forgery_refused([](Descriptor& d) { d.dtype_bytes = 4000; });
    expect_forgery_refused([](Descriptor& d) { d.dtype_bytes = ~std::uint32_t{0}; });
    expect_forgery_refused([](Descriptor& d) { d.name_bytes = 0; });
    expect_forgery_refused([](Descriptor& d) { d.name_bytes = 302; });
    expect_forgery_refused([](Descriptor& d) { d.row_count += 1; });
    expect_forgery_refused([](Descriptor& d) { d.bell_count = 0; });
    expect_forgery_refused([](Descriptor& d) { d.attrs_capacity_bytes *= 2; });
    expect_forgery_refused([](Descriptor& d) { d.dim_count = 1; });
    expect_forgery_refused([](Descriptor& d) { d.dim_count = 65; });
    expect_forgery_refused([](Descriptor& d) { d.dim_count = ~std::uint32_t{0}; });
    expect_forgery_refused([](Descriptor& d) { d.shape[0] = 6; });
    expect_forgery_refused([](Descriptor& d) { d.shape[0] = -5; });
    expect_forgery_refused([](Descriptor& d) { d.shape[0] = kHuge; });
}

TEST_F(Damaged, a_dtype_that_is_none_is_refused_under_a_right_checksum) {
    for (const char* text : {"[('a', '|O')]", "nonsense", "[[[[", "f3"}) {
        Descriptor d = written;
        d.dtype_bytes = static_cast<std::uint32_t>(std::strlen(text));
        EXPECT_NE(refusal_of(forged_page(d, text)), "") << text;
    }
}

}  // namespace
}  // namespace ndshare::layout
