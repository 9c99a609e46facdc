#include "platform/cpu.h"

#include <sched.h>

namespace ndshare::platform {

int usable_cpu_count() noexcept {
    static const int count = [] {
        cpu_set_t set;
        CPU_ZERO(&set);
        if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
        return CPU_COUNT(&set);
    }();
    return count;
}

}  // namespace ndshare::platform
