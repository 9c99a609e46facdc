// What a dtype's text means: one spelling for one meaning, its size, and what NumPy reads.
#include "layout/dtype.h"

#include <gtest/gtest.h>

#include <string>

#include "base/check.h"

namespace ndshare::layout {
namespace {

struct Case {
    const char *text, *canonical, *npy;
    std::uint64_t itemsize;
};

class Accepted : public testing::TestWithParam<Case> {};

TEST_P(Accepted, dtype_has_one_spelling_and_a_size) {
    const Case& c = GetParam();
    const DtypeMeaning meaning = parse_dtype(c.text);
    EXPECT_EQ(meaning.canonical, c.canonical);
    EXPECT_EQ(meaning.npy_descr, c.npy);
    EXPECT_EQ(meaning.itemsize, c.itemsize);
    EXPECT_EQ(parse_dtype(meaning.canonical).canonical, meaning.canonical);
    EXPECT_EQ(parse_dtype(meaning.canonical).itemsize, meaning.itemsize);
}

constexpr Case kScalars[] = {
    {"f4", "<f4", "'<f4'", 4},
    {"<f4", "<f4", "'<f4'", 4},
    {"=f4", "<f4", "'<f4'", 4},
    {">f8", ">f8", "'>f8'", 8},
    {"f2", "<f2", "'<f2'", 2},
    {"f16", "<f16", "'<f16'", 16},
    {"c8", "<c8", "'<c8'", 8},
    {"c16", "<c16", "'<c16'", 16},
    {"c32", "<c32", "'<c32'", 32},
    {"i1", "|i1", "'|i1'", 1},
    {">u1", "|u1", "'|u1'", 1},
    {"<i2", "<i2", "'<i2'", 2},
    {">i8", ">i8", "'>i8'", 8},
    {"b1", "|b1", "'|b1'", 1},
    {"bool", "|b1", "'|b1'", 1},
    {"uint64", "<u8", "'<u8'", 8},
    {"float64", "<f8", "'<f8'", 8},
    {"complex64", "<c8", "'<c8'", 8},
    {"S5", "|S5", "'|S5'", 5},
    {"S0", "|S0", "'|S0'", 0},
    {"V16", "|V16", "'|V16'", 16},
    {"U3", "<U3", "'<U3'", 12},
    {">U3", ">U3", "'>U3'", 12},
    {"M8[ns]", "<M8[ns]", "'<M8[ns]'", 8},
    {">m8[25s]", ">m8[25s]", "'>m8[25s]'", 8},
    {"M8", "<M8", "'<M8'", 8},
    {"M8[az]", "<M8[az]", "'<M8[az]'", 8},
    {"M8[AZ]", "<M8[AZ]", "'<M8[AZ]'", 8},
    {"M8[09/9s]", "<M8[09/9s]", "'<M8[09/9s]'", 8},
    {"|f4", "<f4", "'<f4'", 4},
    {"S9", "|S9", "'|S9'", 9},
    {"bfloat16", "bfloat16", "'|V2'", 2},
    {"float8_e4m3fn", "float8_e4m3fn", "'|V1'", 1},
    {"int4", "int4", "'|V1'", 1},
};
INSTANTIATE_TEST_SUITE_P(Scalars, Accepted, testing::ValuesIn(kScalars));

constexpr Case kRecords[] = {
    {"[('a', 'f4')]", "[('a', '<f4')]", "[('a', '<f4')]", 4},
    {"[('a','f4'),('b','i1')]", "[('a', '<f4'), ('b', '|i1')]", "[('a', '<f4'), ('b', '|i1')]", 5},
    {"[ ( 'a' , 'f4' , ) , ] ", "[('a', '<f4')]", "[('a', '<f4')]", 4},
    {"[('q', '<f8', (7,))]", "[('q', '<f8', (7,))]", "[('q', '<f8', (7,))]", 56},
    {"[('q', '<f8', 7)]", "[('q', '<f8', (7,))]", "[('q', '<f8', (7,))]", 56},
    {"[('q', '<f8', (2, 3))]", "[('q', '<f8', (2, 3))]", "[('q', '<f8', (2, 3))]", 48},
    {"[('q', '<f8', (2,3,))]", "[('q', '<f8', (2, 3))]", "[('q', '<f8', (2, 3))]", 48},
    {"[('q', '<f8', ( 2 , 9 ))]", "[('q', '<f8', (2, 9))]", "[('q', '<f8', (2, 9))]", 144},
    {"[('q', '<f8',  9 )]", "[('q', '<f8', (9,))]", "[('q', '<f8', (9,))]", 72},
    {"[('q', 'S1', 2147483647)]", "[('q', '|S1', (2147483647,))]", "[('q', '|S1', (2147483647,))]",
     2147483647},
    {"[('q', '<f8', ())]", "[('q', '<f8', ())]", "[('q', '<f8', ())]", 8},
    {"[('q', '<f8', (0,))]", "[('q', '<f8', (0,))]", "[('q', '<f8', (0,))]", 0},
    {"[('a', '<i4'), ('', '|V4')]", "[('a', '<i4'), ('', '|V4')]", "[('a', '<i4'), ('', '|V4')]",
     8},
    {"[('x', [('y', 'u2'), ('z', 'S3')], (2,))]", "[('x', [('y', '<u2'), ('z', '|S3')], (2,))]",
     "[('x', [('y', '<u2'), ('z', '|S3')], (2,))]", 10},
    {"[(('a title', 'a'), '<f4')]", "[(('a title', 'a'), '<f4')]", "[(('a title', 'a'), '<f4')]",
     4},
    {"[(\"it's\", '<f4')]", "[(\"it's\", '<f4')]", "[(\"it's\", '<f4')]", 4},
    {"[('a\\'b', '<f4')]", "[('a\\'b', '<f4')]", "[('a\\'b', '<f4')]", 4},
    {"[('größe', '<f4')]", "[('größe', '<f4')]", "[('größe', '<f4')]", 4},
    {"[('w', 'bfloat16', (3,))]", "[('w', 'bfloat16', (3,))]", "[('w', '|V2', (3,))]", 6},
    {"[]", "[]", "[]", 0},
};
INSTANTIATE_TEST_SUITE_P(Records, Accepted, testing::ValuesIn(kRecords));

class Refused : public testing::TestWithParam<const char*> {};

TEST_P(Refused, text_that_is_no_dtype_is_invalid) {
    EXPECT_THROW((void)parse_dtype(GetParam()), Invalid) << GetParam();
}

constexpr const char* kNoDtypes[] = {
    "",
    " ",
    "<",
    "<>",
    "f",
    "f3",
    "f4 ",
    " f4",
    "4f",
    "<<f4",
    "i3",
    "u16",
    "b2",
    "c4",
    "x4",
    "f-4",
    "float",
    "float128x",
    "Float32",
    "f4f4",
    "f99999999999",
    "S",
    "S-1",
    "U",
    "Sx",
    "S2147483649",
    "U536870913",
    "V99999999999",
    "M8[",
    "M8[]",
    "M8[n s]",
    "M8ns]",
    "M4[ns]",
    "m8[ns]x",
    "M8[ns",
    "M8[nss",
    "M8[`s]",
    "M8[{s]",
    "M8[@s]",
    "M8[_s]",
    "M8[:s]",
    "M8[.s]",
    "f4[s]",
    "S1/",
    "S18446744073709551620",
    "M[8]",
    "[",
    "]",
    "[(",
    "[()]",
    "[('a')]",
    "[('a',)]",
    "[('a', 'f4'",
    "[('a', 'f4')",
    "[('a', 'f4')]]",
    "[('a', 'f4')]x",
    "[('a', 'f4') ('b', 'f4')]",
    "[,]",
    "[('a', 'f4'),,]",
    "[('a', f4)]",
    "[(a, 'f4')]",
    "[('a', 'f4', )]x",
    "[('a', 'f4', (-1,))]",
    "[('a', 'f4', (1 2))]",
    "[('a', 'f4', (,))]",
    "[('a', 'f4', (2,), 3)]",
    "[('a', 'f4', ((2,)))]",
    "[('a, 'f4')]",
    "[('a\\', 'f4')]",
    "[('a', 'x9')]",
    "[('a', 'O')]",
    "[((), 'f4')]",
    "[(('t'), 'f4')]",
    "[(('t', 'n', 'm'), 'f4')]",
    "[('a', [])",
    "[('a', 'S2000000000', (2,))]",
    "[('a', 'S2000000000'), ('b', 'S2000000000')]",
    "[('a', 'S2000000000', (2, 0))]",
    "[('a', 'S0', (2147483648,))]",
    "[('a', 'f4' (2,))]",
    "[('a', 'f4', (2:))]",
    "[(xax, 'f4')]",
    "[('a', xf4x)]",
    " [('a', 'f4')]",
};
INSTANTIATE_TEST_SUITE_P(Texts, Refused, testing::ValuesIn(kNoDtypes));

std::string refusal(const std::string& text) {
    try {
        (void)parse_dtype(text);
    } catch (const Invalid& e) {
        return e.what();
    }
    return {};
}

TEST(Dtype, objects_are_refused_with_the_way_out) {
    EXPECT_NE(refusal("O").find("Publisher"), std::string::npos);
    EXPECT_NE(refusal("|O").find("Python objects"), std::string::npos);
    EXPECT_NE(refusal("object").find("Publisher"), std::string::npos);
    EXPECT_NE(refusal("[('a', '|O')]").find("Publisher"), std::string::npos);
}

TEST(Dtype, elements_of_variable_width_are_refused_with_the_way_out) {
    EXPECT_NE(refusal("T").find("'U' with a width"), std::string::npos);
}

TEST(Dtype, every_refusal_names_the_text) {
    EXPECT_NE(refusal("f3").find("\"f3\""), std::string::npos);
    EXPECT_NE(refusal("[('a', 'f3')]").find("f3"), std::string::npos);
}

TEST(Dtype, nesting_has_an_end) {
    const auto nested = [](int depth) {
        std::string text = "'f4'";
        for (int k = 0; k < depth; ++k) text = "[('a', " + text + ")]";
        return text;
    };
    EXPECT_EQ(parse_dtype(nested(33)).itemsize, 4U);
    EXPECT_THROW((void)parse_dtype(nested(34)), Invalid);
    // Deep, and never closed: recursion must end all the same.
    std::string open;
    for (int k = 0; k < 100'000; ++k) open += "[('a', ";
    EXPECT_THROW((void)parse_dtype(open), Invalid);
}

// The rest lies right behind the text: whoever reads past its end finds it whole.
TEST(Dtype, a_text_that_is_cut_off_is_refused) {
    for (const std::string_view whole :
         {"[('q', '<f8', (2, 3))]", "[('q', '<f8', 7)]", "[('a', [('b', '<u2')], (1,))]"}) {
        EXPECT_NO_THROW((void)parse_dtype(whole));
        for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
            EXPECT_THROW((void)parse_dtype(whole.substr(0, bytes)), Invalid) << bytes;
        }
    }
}

TEST(Dtype, a_long_record_is_the_sum_of_its_fields) {
    std::string text = "[";
    for (int k = 0; k < 1000; ++k) text += "('field" + std::to_string(k) + "', '<f4', (3,)),";
    EXPECT_EQ(parse_dtype(text + "]").itemsize, 12000U);
}

TEST(Dtype, text_with_nul_bytes_is_refused) {
    EXPECT_THROW((void)parse_dtype(std::string_view("f4\0", 3)), Invalid);
    EXPECT_THROW((void)parse_dtype(std::string_view("\0", 1)), Invalid);
}

// ---- names whose meaning NumPy fixed ------------------------------------------------------------

TEST(Dtype, byte_is_signed_as_in_numpy) { EXPECT_EQ(parse_dtype("byte").canonical, "|i1"); }

TEST(Dtype, an_element_as_large_as_numpy_allows_is_the_largest) {
    EXPECT_EQ(parse_dtype("S2147483647").itemsize, 2147483647U);
    EXPECT_THROW((void)parse_dtype("S2147483648"), Invalid);
}

TEST(Dtype, a_record_has_each_field_name_once) {
    EXPECT_THROW((void)parse_dtype("[('a', 'f4'), ('a', 'f4')]"), Invalid);
}

TEST(Dtype, a_field_name_cannot_break_the_npy_header) {
    EXPECT_THROW((void)parse_dtype("[('a\nb', 'f4')]"), Invalid);
    EXPECT_THROW((void)parse_dtype("[('a\xff', 'f4')]"), Invalid);
}

}  // namespace
}  // namespace ndshare::layout
