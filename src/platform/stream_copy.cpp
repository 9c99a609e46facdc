#include "platform/stream_copy.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace ndshare::platform {
namespace {

// Below it the cache keeps a copy for the reader, and memcpy is as fast.
constexpr std::size_t kLargeBytes = 256 << 10;

// A ring up to here stays in the cache that the reader shares, where it finds what memcpy left.
// What systems say of that cache's size is of no use (320 MiB on a virtual machine with a part of
// it); by measurement two 1080p frames (12 MB) are faster with memcpy by a tenth, three (18 MB)
// slower by a tenth, eight (50 MB) by a half.
constexpr std::size_t kSharedCacheBytes = 16 << 20;

}  // namespace

void stream_copy(std::byte* out, const std::byte* in, std::size_t bytes,
                 std::size_t working_set_bytes) noexcept {
#if defined(__x86_64__)
    if (bytes >= kLargeBytes && working_set_bytes > kSharedCacheBytes) {
        // Such stores may overtake older ones, too: the word that says that the bytes change.
        _mm_sfence();
        const std::size_t head = (16 - reinterpret_cast<std::uintptr_t>(out) % 16) % 16;
        std::memcpy(out, in, head);
        std::size_t at = head;
        for (; at + 64 <= bytes; at += 64) {
            const auto* from = reinterpret_cast<const __m128i*>(in + at);
            auto* to = reinterpret_cast<__m128i*>(out + at);
            const __m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1);
            const __m128i c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);
            _mm_stream_si128(to, a);
            _mm_stream_si128(to + 1, b);
            _mm_stream_si128(to + 2, c);
            _mm_stream_si128(to + 3, d);
        }
        std::memcpy(out + at, in + at, bytes - at);
        _mm_sfence();  // before the word that says that they are there
        return;
    }
#endif
    (void)working_set_bytes;
    std::memcpy(out, in, bytes);
}

}  // namespace ndshare::platform
