// What a name may be, and how it is spelled in a folder and on a memfd.
#include "layout/name.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/check.h"

namespace ndshare::layout {
namespace {

class GoodName : public testing::TestWithParam<std::string> {};
TEST_P(GoodName, is_accepted_and_comes_back_from_its_file_name) {
    EXPECT_NO_THROW(require_name(GetParam()));
    const std::string file = file_name(GetParam());
    EXPECT_EQ(file.find('/'), std::string::npos);
    EXPECT_NE(file.front(), '.');
    EXPECT_LE(file.size(), 200U);
    if (file.front() != '#') {
        EXPECT_EQ(name_of_file(file), GetParam());
    }
}
INSTANTIATE_TEST_SUITE_P(Names, GoodName,
                         testing::Values("a", "scores", "cam/front", "a/b/c/d", ".hidden", "..x",
                                         "...", "#1", "100%", "%2F", "a b", "a\\b", "größe",
                                         "日本語", "🎥/front", "-", "~", "*", "a.", "a/.b",
                                         std::string(200, 'x'), std::string(200, '%'),
                                         "ab/" + std::string(197, '/' - 1)));

// The first and the last of each length, and those beside the surrogates.
INSTANTIATE_TEST_SUITE_P(EdgesOfUtf8, GoodName,
                         testing::Values("\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                         "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
                                         "\xf4\x8f\xbf\xbf"));

class BadName : public testing::TestWithParam<std::string> {};
TEST_P(BadName, is_refused) { EXPECT_THROW(require_name(GetParam()), Invalid); }
INSTANTIATE_TEST_SUITE_P(Names, BadName,
                         testing::Values("", "/", "/a", "a/", "a//b", ".", "..", "a/.", "a/..",
                                         "./a", "../a", "a/../b", "a/./b", "a\nb", "a\tb", "\x7f",
                                         std::string(1, '\0'), std::string("a\0b", 3),
                                         std::string(201, 'x')));
INSTANTIATE_TEST_SUITE_P(NotUtf8, BadName,
                         testing::Values("\x80", "\xff", "a\xc3", "\xc0\xaf", "\xe0\x80\xaf",
                                         "\xed\xa0\x80", "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80",
                                         "\xf8\x88\x80\x80\x80", "\xe2\x82", "\xe2(\xa1",
                                         "\xc1\xbf", "\xc3(", "\xe2\x82(", "\xe0\x9f\xbf",
                                         "\xf0\x8f\xbf\xbf", "\xf0(\x90\x80", "\xf0\x90(\x80",
                                         "\xf0\x90\x80(", "\xf5\x80\x80\x80", "\x80\x80\x80",
                                         "\x80\x80\x80\x80", "\xf1(\x80\x80", "\xe2(\x80",
                                         "\xc2\xc0"));

std::string refusal(std::string_view name) {
    try {
        require_name(name);
    } catch (const Invalid& e) {
        return e.what();
    }
    return {};
}
TEST(Name, its_refusal_says_what_is_wrong) {
    EXPECT_NE(refusal("").find("empty"), std::string::npos);
    EXPECT_NE(refusal(std::string_view("a\0b", 3)).find("NUL"), std::string::npos);
    EXPECT_NE(refusal("/a").find("begin with"), std::string::npos);
    EXPECT_NE(refusal("a/").find("end with"), std::string::npos);
    EXPECT_NE(refusal("a//b").find("contain \"//\""), std::string::npos);
}

// The missing bytes lie right behind the text: whoever reads past its end takes them.
TEST(Name, a_sequence_that_is_cut_off_is_no_utf8) {
    for (const std::string_view whole : {"\xc3\xb6", "\xe6\x97\xa5", "\xf0\x9f\x8e\xa5"}) {
        EXPECT_EQ(refusal(whole), "");
        for (std::size_t bytes = 1; bytes < whole.size(); ++bytes) {
            EXPECT_NE(refusal(whole.substr(0, bytes)), "");
            EXPECT_EQ(made_utf8(whole.substr(0, bytes)), std::string(bytes, '?'));
        }
    }
}

TEST(Name, anothers_text_becomes_utf8) {
    EXPECT_EQ(made_utf8(""), "");
    EXPECT_EQ(made_utf8("größe/日本語 🎥"), "größe/日本語 🎥");
    EXPECT_EQ(made_utf8("a\xff"
                        "b\xc3"),
              "a?b?");
    EXPECT_EQ(made_utf8("\xe6\x97z"), "??z");
}

TEST(Name, plain_text_has_no_control_characters) {
    EXPECT_TRUE(is_plain_utf8("a b~"));
    EXPECT_FALSE(is_plain_utf8("a\x7f"));
    EXPECT_FALSE(is_plain_utf8("a\x1f"));
}

TEST(Name, a_namespace_goes_before_it) {
    EXPECT_EQ(full_name("", "a"), "a");
    EXPECT_EQ(full_name("test-1", "cam/front"), "test-1/cam/front");
    EXPECT_THROW((void)full_name("", "a//b"), Invalid);
    EXPECT_THROW((void)full_name("test-1", ""), Invalid);
}

TEST(Name, a_bad_namespace_is_named_as_such) {
    for (const std::string& name_space :
         {std::string("/x"), std::string(101, 'x'), std::string("a\nb"), std::string("..")}) {
        try {
            (void)full_name(name_space, "a");
            FAIL() << name_space << " was accepted";
        } catch (const Invalid& e) {
            EXPECT_NE(std::string(e.what()).find("NDSHARE_NAMESPACE"), std::string::npos);
        }
    }
}

TEST(Name, the_longest_full_name_fits_the_descriptor) {
    const std::string longest = full_name(std::string(100, 'n'), std::string(200, 'x'));
    EXPECT_EQ(longest.size(), kFullNameBytesMax);
}

TEST(Name, a_file_name_escapes_what_a_folder_or_we_would_misread) {
    EXPECT_EQ(file_name("a.b#c"), "a.b#c");
    EXPECT_EQ(file_name(".a"), "%2Ea");
    EXPECT_EQ(file_name("#a"), "%23a");
    EXPECT_EQ(file_name("a/b%"), "a%2Fb%25");
}

TEST(Name, of_200_bytes_is_the_longest_file_name_that_is_not_hashed) {
    EXPECT_EQ(file_name(std::string(200, 'x')), std::string(200, 'x'));
    EXPECT_EQ(file_name(std::string(201, 'x')).front(), '#');
}

TEST(Name, file_names_of_different_names_differ) {
    std::set<std::string> files;
    const char* names[] = {"a/b", "a%2Fb", "a%252Fb", "a b", ".a", "%2Ea", "#a", "%23a", "a", "A"};
    for (const char* name : names) EXPECT_TRUE(files.insert(file_name(name)).second) << name;
}

TEST(Name, long_names_are_hashed_to_different_files) {
    const std::string one = std::string(150, '/' - 1) + std::string(100, '%');
    const std::string other = std::string(150, '/' - 1) + std::string(99, '%') + "x";
    EXPECT_EQ(file_name(one).front(), '#');
    EXPECT_EQ(file_name(one).size(), 33U);
    EXPECT_NE(file_name(one), file_name(other));
    EXPECT_EQ(name_of_file(file_name(one)), "");
}

TEST(Name, what_is_no_file_name_of_ours_gives_nothing) {
    for (const char* file : {"", ".lock", "#0123", "a%", "a%2", "a%zz", "%2f", "%z1", "%1z", "%/0",
                             "%:0", "%@0", "%G0"}) {
        EXPECT_EQ(name_of_file(file), "") << file;
    }
    EXPECT_EQ(name_of_file(std::string_view("a%2F", 3)), "");
    EXPECT_EQ(name_of_file("%2A%29%A0%0A"), "*)\xa0\n");
}

TEST(Name, a_memfd_name_fits_the_kernels_limit) {
    EXPECT_EQ(memfd_name("cam/front"), "ndshare:cam/front");
    for (std::size_t bytes = 1; bytes <= kFullNameBytesMax; ++bytes) {
        const std::string name = memfd_name(std::string(bytes, 'x'));
        EXPECT_LE(name.size(), 249U);
        EXPECT_EQ(name.substr(0, 8), "ndshare:");
        EXPECT_EQ(name[8] == '#', bytes > 241) << bytes;
    }
}

}  // namespace
}  // namespace ndshare::layout
