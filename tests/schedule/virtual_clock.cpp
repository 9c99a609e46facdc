// Time on a World. The program's own definitions of platform/clock.h come before the library's, so
// sync/patience.h, which is compiled unchanged, runs out of virtual time.
#include "platform/clock.h"

#include <cstdlib>

#include "schedule/world.h"

namespace ndshare::platform {

std::int64_t monotonic_ns() noexcept { return schedule::virtual_now_ns(); }
std::int64_t realtime_ns() noexcept { return schedule::virtual_now_ns(); }
void sleep_ns(std::int64_t) noexcept { std::abort(); }

}  // namespace ndshare::platform
