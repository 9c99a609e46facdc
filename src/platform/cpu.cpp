#include "platform/cpu.h"

#include <unistd.h>

namespace ndshare::platform {

int online_cpu_count() noexcept {
    static const int count = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
    return count;
}

}  // namespace ndshare::platform
