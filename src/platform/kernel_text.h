// platform/kernel_text.h: small files of /proc and /sys, and their words. The views are of the text
// that they are given.
// Threads: any. Blocks: no.
#pragma once
#include <string>
#include <string_view>

namespace ndshare::platform {

// A whole file; "" when it cannot be read. Throws SystemError for want of descriptors or memory.
std::string read_kernel_text(const std::string& path);
// Takes the next word or line off the text.
std::string_view take_until(std::string_view& text, char end);
// Is it one of those between the commas?
bool has_word(std::string_view list, std::string_view word);

}  // namespace ndshare::platform
