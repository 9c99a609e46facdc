#include "platform/kernel_text.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"
#include "platform/fd.h"

namespace ndshare::platform {

// Not by <fstream>: a creation reads a dozen of them, and most of its time was spent there.
std::string read_kernel_text(const std::string& path) {
    std::string text;
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!fd) {
        const SystemError error(errno, "open " + path);
        if (error.is_shortage()) throw error;  // else no memory at all would seem to be there
        return text;
    }
    char part[4096];
    for (;;) {
        const ssize_t count = ::read(fd.get(), part, sizeof part);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        text.append(part, static_cast<std::size_t>(count));
    }
    return text;
}

std::string_view take_until(std::string_view& text, char end) {
    const std::size_t at = text.find(end);
    const std::string_view part = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
    return part;
}

bool has_word(std::string_view list, std::string_view word) {
    while (!list.empty()) {
        if (take_until(list, ',') == word) return true;
    }
    return false;
}

}  // namespace ndshare::platform
