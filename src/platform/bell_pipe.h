// platform/bell_pipe.h: a pipe with at most a few bytes in it, for poll, select and epoll. The
// other process reaches it through /proc/pid/fd: an eventfd could not be opened that way.
// Threads: any. Processes: ring from any of the same user and pid namespace. Blocks: no.
#pragma once
#include <cstdint>
#include <span>

#include "platform/fd.h"

namespace ndshare::platform {

struct BellPipe {
    Fd read_end, write_end;
    std::uint64_t inode = 0;
};
BellPipe make_bell_pipe();
void ring_own(const BellPipe& pipe) noexcept;
void empty_bell(const BellPipe& pipe) noexcept;

// Rings the pipe behind another process's descriptor; false: it is gone or no longer that pipe.
// Opened for reading and writing: with only writing a dead reader would send us SIGPIPE.
bool ring_other(std::uint32_t pid, std::uint32_t fd, std::uint64_t inode) noexcept;

// Sleeps until one is readable or the time is over; returns early on signals.
void poll_readable(std::span<const int> fds, std::int64_t timeout_ns);

}  // namespace ndshare::platform
