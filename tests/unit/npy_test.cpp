// The .npy preamble: what numpy.load finds in the first pages of a segment.
#include "layout/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/check.h"
#include "layout/dtype.h"

namespace ndshare::layout {
namespace {

struct Preamble {
    int major, minor;
    std::size_t declared, begins_at;
    std::string dictionary;  // without the padding
};

Preamble read_preamble(const std::string& header) {
    Preamble p{};
    EXPECT_EQ(header.substr(0, 6), "\x93NUMPY");
    p.major = header[6];
    p.minor = header[7];
    p.begins_at = p.major == 1 ? 10 : 12;
    for (std::size_t k = 8; k < p.begins_at; ++k) {
        p.declared |= static_cast<std::size_t>(static_cast<unsigned char>(header[k]))
                      << (8 * (k - 8));
    }
    EXPECT_EQ(p.begins_at + p.declared, header.size());
    EXPECT_EQ(header.back(), '\n');
    p.dictionary = header.substr(p.begins_at);
    const auto end = p.dictionary.find_last_not_of(" \n");
    p.dictionary.resize(end + 1);
    return p;
}

TEST(Npy, header_is_one_padded_page_of_version_1) {
    const std::string header = make_npy_header("'<f8'", false, {5, 5});
    EXPECT_EQ(header.size(), kHeaderStepBytes);
    const Preamble p = read_preamble(header);
    EXPECT_EQ(p.major, 1);
    EXPECT_EQ(p.minor, 0);
    EXPECT_EQ(p.dictionary, "{'descr': '<f8', 'fortran_order': False, 'shape': (5, 5), }");
}

TEST(Npy, shapes_are_spelled_as_python_does) {
    const auto shape_of = [](const std::vector<std::int64_t>& shape) {
        const std::string text = read_preamble(make_npy_header("'|u1'", true, shape)).dictionary;
        const auto at = text.find("'shape': ");
        return text.substr(at + 9, text.size() - at - 12);
    };
    EXPECT_EQ(shape_of({}), "()");
    EXPECT_EQ(shape_of({0}), "(0,)");
    EXPECT_EQ(shape_of({7}), "(7,)");
    EXPECT_EQ(shape_of({1, 2, 3}), "(1, 2, 3)");
    EXPECT_EQ(shape_of({9223372036854775807}), "(9223372036854775807,)");
}

TEST(Npy, fortran_order_is_said) {
    const std::string header = make_npy_header("'<f8'", true, {2, 2});
    EXPECT_NE(header.find("'fortran_order': True"), std::string::npos);
}

TEST(Npy, sixty_four_extents_of_any_size_fit) {
    const std::vector<std::int64_t> shape(64, 9223372036854775807);
    const std::string header = make_npy_header("'<f8'", false, shape);
    EXPECT_EQ(header.size(), kHeaderStepBytes);
}

TEST(Npy, names_beyond_ascii_make_it_version_3) {
    const std::string header = make_npy_header("[('größe', '<f4')]", false, {3});
    const Preamble p = read_preamble(header);
    EXPECT_EQ(p.major, 3);
    EXPECT_EQ(p.minor, 0);
    EXPECT_EQ(header.size(), kHeaderStepBytes);
    EXPECT_NE(p.dictionary.find("größe"), std::string::npos);
}

TEST(Npy, longer_descriptions_take_further_pages) {
    for (const std::size_t bytes : {3000U, 4000U, 4030U, 8000U, 30000U, 61000U}) {
        const std::string descr = "[('" + std::string(bytes - 12, 'x') + "', '<f4')]";
        const std::string header = make_npy_header(descr, false, {1});
        EXPECT_EQ(header.size() % kHeaderStepBytes, 0U);
        EXPECT_GE(header.size(), bytes);
        EXPECT_LT(header.size(), bytes + kHeaderStepBytes + 100);
        EXPECT_NE(read_preamble(header).dictionary.find(descr), std::string::npos);
    }
}

TEST(Npy, every_length_around_a_page_boundary_is_right) {
    for (std::size_t extra = 0; extra < 200; ++extra) {
        const std::string descr = "[('" + std::string(3900 + extra, 'x') + "', '<f4')]";
        const std::string header = make_npy_header(descr, false, {1});
        (void)read_preamble(header);  // checks its own length
        const bool fits =
            10 + std::strlen("{'descr': , 'fortran_order': False, 'shape': (1,), }\n") +
                descr.size() <=
            kHeaderStepBytes;
        EXPECT_EQ(header.size(), fits ? kHeaderStepBytes : 2 * kHeaderStepBytes);
    }
}

TEST(Npy, a_description_beyond_the_maximum_is_invalid_with_the_numbers) {
    const std::string descr = "[('" + std::string(kHeaderBytesMax, 'x') + "', '<f4')]";
    try {
        (void)make_npy_header(descr, false, {1});
        FAIL() << "was accepted";
    } catch (const Invalid& e) {
        EXPECT_NE(std::string(e.what()).find(std::to_string(kHeaderBytesMax)), std::string::npos);
    }
}

TEST(Npy, ml_dtypes_are_void_to_numpy) {
    const auto meaning = parse_dtype("bfloat16");
    const std::string header = make_npy_header(meaning.npy_descr, false, {4});
    EXPECT_NE(header.find("'descr': '|V2'"), std::string::npos);
}

}  // namespace
}  // namespace ndshare::layout
