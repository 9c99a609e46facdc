// sync/racy_copy.h: copying bytes that another process may be changing. By the letter of C++20 that
// is a data race; a relaxed atomic load for each word is legal and reaches half of memcpy's speed
// (proposal P1478 would settle it). So: memcpy where the compiler cannot look, between the fences
// of sync/version.h, and what was torn is thrown away there.
// Threads: any. Processes: any. Blocks: no.
#pragma once
#include <cstddef>
#include <cstring>

#include "platform/stream_copy.h"

namespace ndshare::sync {

#if defined(__SANITIZE_THREAD__)
// The sanitizer is right about the race, and this is the one place where it is meant.
__attribute__((no_sanitize("thread"), noinline)) inline void racy_copy(std::byte* out,
                                                                       const std::byte* in,
                                                                       std::size_t bytes) {
    for (std::size_t k = 0; k < bytes; ++k) {
        const_cast<volatile std::byte*>(out)[k] = const_cast<const volatile std::byte*>(in)[k];
    }
}
#else
__attribute__((noinline)) inline void racy_copy(std::byte* out, const std::byte* in,
                                                std::size_t bytes) {
    std::memcpy(out, in, bytes);
    asm volatile("" ::: "memory");
}
#endif

// A piece of a copy whose working set may be larger than the cache.
inline void racy_copy(std::byte* out, const std::byte* in, std::size_t bytes,
                      [[maybe_unused]] const platform::StreamCopy& copy) {
#if defined(__SANITIZE_THREAD__)
    racy_copy(out, in, bytes);
#else
    copy.piece(out, in, bytes);
    asm volatile("" ::: "memory");
#endif
}

}  // namespace ndshare::sync
