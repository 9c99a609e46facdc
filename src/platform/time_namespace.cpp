#include "platform/time_namespace.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace ndshare::platform {
namespace {

std::int64_t read_offset_ns() noexcept {
    // The file tells of children, which live elsewhere only between unshare() and their fork.
    struct stat own{}, children{};
    if (::stat("/proc/self/ns/time", &own) != 0 ||
        ::stat("/proc/self/ns/time_for_children", &children) != 0 ||
        own.st_ino != children.st_ino) {
        return 0;
    }
    const int fd = ::open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return 0;
    char text[256];
    const ssize_t count = ::read(fd, text, sizeof text - 1);
    ::close(fd);
    if (count <= 0) return 0;
    text[count] = '\0';
    const char* line = std::strstr(text, "monotonic");
    std::int64_t seconds = 0, ns = 0;
    if (line == nullptr ||
        std::sscanf(line, "monotonic %" SCNd64 " %" SCNd64, &seconds, &ns) != 2) {
        return 0;
    }
    return seconds * 1'000'000'000 + ns;
}

// Changes only in a forked child while it has one thread.
std::atomic<std::int64_t> g_offset_ns{read_offset_ns()};

}  // namespace

std::int64_t time_namespace_offset_ns() noexcept { return g_offset_ns.load(); }

void look_at_time_namespace() noexcept { g_offset_ns.store(read_offset_ns()); }

}  // namespace ndshare::platform
