// Every error says what was tried, with what, and keeps its code.
#include "ndshare/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "api/operation.h"

namespace ndshare {
namespace {

template <class Thrown>
Error named(const Thrown& thrown) {
    try {
        api::in_operation("open", "cam/front", [&]() -> int { throw thrown; });
    } catch (const Error& e) {
        return e;
    }
    return {Errc::closed, "", "", "nothing was thrown"};
}

TEST(Error, begins_with_the_operation_and_the_name) {
    const Error e(Errc::not_found, "open", "cam/front", "nothing has this name");
    EXPECT_STREQ(e.what(), "[open] \"cam/front\": nothing has this name");
    EXPECT_EQ(e.operation(), "open");
    EXPECT_EQ(e.name(), "cam/front");
    EXPECT_TRUE(e.code() == Errc::not_found);
    EXPECT_EQ(e.code().message(), "not found");
    EXPECT_STREQ(e.code().category().name(), "ndshare");
}

TEST(Error, codes_have_messages_of_their_own) {
    std::string all;
    for (int code = 1; code <= static_cast<int>(Errc::invalid_argument); ++code) {
        const std::string text = error_category().message(code);
        EXPECT_NE(text, "unknown") << code;
        EXPECT_EQ(all.find("|" + text + "|"), std::string::npos) << text;
        all += "|" + text + "|";
    }
    EXPECT_EQ(error_category().message(0), "unknown");
    EXPECT_EQ(error_category().message(99), "unknown");
}

TEST(Error, says_who_was_wrong) {
    EXPECT_TRUE(named(Invalid("a")).code() == Errc::invalid_argument);
    EXPECT_TRUE(named(NoRoom("a")).code() == Errc::out_of_memory);
    EXPECT_TRUE(named(CorruptBytes("a")).code() == Errc::corrupt);
    EXPECT_NE(std::string(named(CorruptBytes("a")).what()).find("unlink"), std::string::npos);
}

TEST(Error, of_the_system_has_the_errno_or_what_it_means) {
    EXPECT_TRUE(named(SystemError(EACCES, "openat")).code() == Errc::forbidden);
    EXPECT_TRUE(named(SystemError(EPERM, "openat")).code() == Errc::forbidden);
    EXPECT_TRUE(named(SystemError(EROFS, "openat")).code() == Errc::forbidden);
    EXPECT_TRUE(named(SystemError(ENOMEM, "mmap")).code() == Errc::out_of_memory);
    EXPECT_TRUE(named(SystemError(ENOSPC, "write")).code() == Errc::out_of_memory);
    const Error many = named(SystemError(EMFILE, "memfd_create"));
    EXPECT_EQ(many.code(), std::error_code(EMFILE, std::generic_category()));
    EXPECT_NE(std::string(many.what()).find("ulimit -n"), std::string::npos);
    const Error other = named(SystemError(EIO, "pread"));
    EXPECT_EQ(other.code(), std::error_code(EIO, std::generic_category()));
    EXPECT_NE(std::string(other.what()).find("pread: "), std::string::npos);
}

TEST(Error, that_has_its_names_keeps_them) {
    const Error inner(Errc::replaced, "read", "a", "text");
    EXPECT_STREQ(named(inner).what(), inner.what());
}

TEST(Error, of_the_callers_own_check_passes_unchanged) {
    struct Interrupted {};
    const auto call = [] { api::in_operation("wait", "a", []() -> int { throw Interrupted{}; }); };
    EXPECT_THROW(call(), Interrupted);
}

TEST(Operation, returns_what_its_body_returns) {
    EXPECT_EQ(api::in_operation("open", "a", [] { return 7; }), 7);
}

}  // namespace
}  // namespace ndshare
