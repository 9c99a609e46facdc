// platform/pattern.h: shell patterns, fnmatch(3); "*" also matches "/". Threads: any. Blocks: no.
#pragma once
#include <string>

namespace ndshare::platform {

bool matches(const std::string& text, const std::string& pattern);

}  // namespace ndshare::platform
