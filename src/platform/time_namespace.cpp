#include "platform/time_namespace.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <utility>

namespace ndshare::platform {
namespace {

// The number after spaces, and what follows it.
std::pair<std::int64_t, std::string_view> next_number(std::string_view text) noexcept {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    std::int64_t number = 0;
    const char* end = std::from_chars(text.data(), text.data() + text.size(), number).ptr;
    return {number, text.substr(static_cast<std::size_t>(end - text.data()))};
}

// otherwise: what is taken where this process lacks a descriptor for the look.
std::int64_t read_offset_ns(std::int64_t otherwise) noexcept {
    // The file tells of children, which live elsewhere only between unshare() and their fork.
    struct stat own{}, children{};
    if (::stat("/proc/self/ns/time", &own) != 0 ||
        ::stat("/proc/self/ns/time_for_children", &children) != 0 ||
        own.st_ino != children.st_ino) {
        return 0;
    }
    const int fd = ::open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return errno == EMFILE || errno == ENFILE ? otherwise : 0;
    char text[256];
    const ssize_t count = ::read(fd, text, sizeof text);
    ::close(fd);
    if (count <= 0) return 0;
    const std::string_view lines(text, static_cast<std::size_t>(count));
    constexpr std::string_view kKey = "monotonic";
    const auto at = lines.find(kKey);
    if (at == std::string_view::npos) return 0;
    const auto [seconds, rest] = next_number(lines.substr(at + kKey.size()));
    const std::int64_t ns = next_number(rest).first;
    return seconds * 1'000'000'000 + ns;
}

// Changes only in a forked child while it has one thread.
std::atomic<std::int64_t> g_offset_ns{read_offset_ns(0)};

}  // namespace

std::int64_t time_namespace_offset_ns() noexcept { return g_offset_ns.load(); }

void look_at_time_namespace() noexcept { g_offset_ns.store(read_offset_ns(g_offset_ns.load())); }

}  // namespace ndshare::platform
