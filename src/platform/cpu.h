// platform/cpu.h: spinning. Threads: any. Blocks: no.
#pragma once

namespace ndshare::platform {

// CPUs of this machine that are switched on: on one there is nobody to spin for. Not the CPUs this
// process is pinned to: its peers are pinned elsewhere.
int online_cpu_count() noexcept;

inline void spin_pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield" ::: "memory");
#endif
}

}  // namespace ndshare::platform
