// platform/time_namespace.h: how far this process's CLOCK_MONOTONIC is from the machine's. A
// container may have a time namespace of its own (unshare --time, a restored checkpoint), so what
// processes tell each other is on the clock of the machine: that of the initial namespace.
// Threads: any. Blocks: reading takes three system calls; a look without /proc finds no distance.
#pragma once
#include <cstdint>

namespace ndshare::platform {

// CLOCK_MONOTONIC here, less that of the machine. Read when the program starts, so that no deadline
// is made before it is known.
std::int64_t time_namespace_offset_ns() noexcept;
// Reads it again: in a forked child, whose parent may have called unshare(CLONE_NEWTIME), which
// moves children only, and with the first handle, as forks before that are not noticed. What it was
// stays where no descriptor is free for the look. While the process has one thread, or nobody
// compares.
void look_at_time_namespace() noexcept;

}  // namespace ndshare::platform
