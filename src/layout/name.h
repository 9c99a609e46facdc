// layout/name.h: what a name may be, and how it is spelled in a folder and on a memfd.
//
// A name is 1 to 200 bytes of UTF-8 without control characters, without "/" at either end and
// without an empty, "." or ".." part. NDSHARE_NAMESPACE goes before it with a "/": the full name.
// Threads: any. Processes: any. Blocks: no. Errors: Invalid.
#pragma once
#include <string>
#include <string_view>

namespace ndshare::layout {

inline constexpr std::size_t kNameBytesMax = 200;
inline constexpr std::size_t kFullNameBytesMax = 301;  // namespace of 100, "/", name

// Another's text, with a question mark for each byte that is no UTF-8.
std::string made_utf8(std::string_view text);
// UTF-8 without control characters.
bool is_plain_utf8(std::string_view text);

void require_name(std::string_view name);
std::string full_name(std::string_view name_space, std::string_view name);

// One path component: "/" becomes "%2F", "%" "%25", a leading "." or "#" likewise. What would not
// fit into 200 bytes is "#" and a hash of 128 bits; the descriptor tells two such names apart.
std::string file_name(std::string_view full_name);
// The way back; empty for hashed names, whose true name is in the descriptor only.
std::string name_of_file(std::string_view file_name);

// The memfd's name (249 bytes at most with the kernel's prefix): "ndshare:" and the full name or,
// where that does not fit, its hash.
std::string memfd_name(std::string_view full_name);

}  // namespace ndshare::layout
