#include "platform/bell_pipe.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/check.h"
#include "platform/process.h"

namespace ndshare::platform {
namespace {

void ring(int fd) noexcept {
    const char byte = 1;
    (void)!::write(fd, &byte, 1);  // a full pipe is readable already
}

}  // namespace

BellPipe make_bell_pipe() {
    int ends[2];
    NDSHARE_SYSCALL("pipe2", pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    BellPipe pipe{Fd(ends[0]), Fd(ends[1]), 0};
    struct stat status{};
    NDSHARE_SYSCALL("fstat", fstat(ends[0], &status));
    pipe.inode = status.st_ino;
    return pipe;
}

void ring_own(const BellPipe& pipe) noexcept { ring(pipe.write_end.get()); }

void empty_bell(const BellPipe& pipe) noexcept {
    char bytes[64];
    while (::read(pipe.read_end.get(), bytes, sizeof bytes) == sizeof bytes) {
    }
}

bool ring_other(std::uint32_t pid, std::uint32_t fd, std::uint64_t inode) noexcept {
    struct stat status{};
    const std::string path = descriptor_path(pid, fd);
    // Looked at before it is opened: opening what is no pipe of ours could have side effects.
    if (::stat(path.c_str(), &status) != 0 || !S_ISFIFO(status.st_mode) || status.st_ino != inode) {
        return false;
    }
    const Fd pipe(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (!pipe || ::fstat(pipe.get(), &status) != 0 || status.st_ino != inode) return false;
    ring(pipe.get());
    return true;
}

void poll_readable(std::span<const int> fds, std::int64_t timeout_ns) {
    std::vector<pollfd> entries;
    for (const int fd : fds) entries.push_back({fd, POLLIN, 0});
    const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000),
                           static_cast<long>(timeout_ns % 1'000'000'000)};
    (void)ppoll(entries.data(), entries.size(), &timeout, nullptr);
}

}  // namespace ndshare::platform
