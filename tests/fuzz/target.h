// fuzz/target.h: one input through everything that reads a segment's own description. What it says
// must be refused as CorruptBytes (or Invalid, for a dtype's text), or be true.
//
//   input:  1 byte of switches | text of a long dtype | descriptor page (at most 4096 bytes)
//   switch 1: the file has as many bytes as the page says    2: the system has pages of 65536 bytes
//          4: the checksum is made right first, so that the checks behind it are reached
//
// Threads: any.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ndshare::fuzz {

enum Switches : unsigned char { kOwnSize = 1, kLargePages = 2, kRightChecksum = 4 };

// Empty: all well. Else what went wrong.
// careless: with a reader that believes the page instead, for the canary.
std::string check_descriptor(std::string_view input, bool careless = false);
std::string check_dtype(std::string_view text);

}  // namespace ndshare::fuzz
