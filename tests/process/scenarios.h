// process/scenarios.h: what the child of the fault walks can be told to do.
#pragma once

namespace ndshare::test {

inline constexpr const char* kArrayScenarios[] = {
    "create",         "create_persistent", "replace_persistent",
    "replace",        "open_and_read",     "write",
    "leave",          "attributes",        "unlink",
    "unlink_by_name", "replace_by_file",   "fileno",
    "fork",           "pass_name_on",      "heal",
    "turn",           "first_book",        "wake"};
inline constexpr const char* kStreamScenarios[] = {"publish", "subscribe", "block", "renew",
                                                   "fork_frames"};
inline constexpr const char* kServiceScenarios[] = {"serve", "ask", "found_service",
                                                    "lose_a_worker"};

}  // namespace ndshare::test
