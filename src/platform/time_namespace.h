// platform/time_namespace.h: how far this process's CLOCK_MONOTONIC is from the machine's. A
// container may have a time namespace of its own (unshare --time, a restored checkpoint), so what
// processes tell each other is on the clock of the machine: that of the initial namespace.
// Threads: any. Blocks: reading takes three system calls; a look without /proc finds no distance.
#pragma once
#include <cstdint>

namespace ndshare::platform {

// CLOCK_MONOTONIC here, less that of the machine. Read when the program starts.
std::int64_t time_namespace_offset_ns() noexcept;
// In a forked child: its parent may have called unshare(CLONE_NEWTIME), which moves children only.
void look_at_time_namespace() noexcept;

}  // namespace ndshare::platform
