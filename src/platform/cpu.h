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

// Asks for a cache line that will be written soon. Not __builtin_prefetch: for plain x86-64 g++
// makes a fetch for reading of it, and the later write has to ask again.
inline void fetch_for_writing(const void* line) noexcept {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(line)));
#else
    __builtin_prefetch(line, 1);
#endif
}

}  // namespace ndshare::platform
