// platform/cpu.h: spinning. Threads: any. Blocks: no.
#pragma once

namespace ndshare::platform {

// CPUs this process may use (sched_getaffinity), read once: on one there is nobody to spin for.
int usable_cpu_count() noexcept;

inline void spin_pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield" ::: "memory");
#endif
}

}  // namespace ndshare::platform
