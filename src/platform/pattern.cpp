#include "platform/pattern.h"

#include <fnmatch.h>

namespace ndshare::platform {

bool matches(const std::string& text, const std::string& pattern) {
    return fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

}  // namespace ndshare::platform
