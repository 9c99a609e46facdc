#include "platform/stream_copy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "platform/clock.h"
#include "platform/copy_choice.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace ndshare::platform {

// What is known of an order of magnitude of working sets.
struct CopyLesson {
    CopyChoice choice{true};
    // Of who learns; the others take what is known. A child that is forked meanwhile inherits it
    // locked and stays with what is known.
    std::mutex learning;
};

namespace {

#if defined(__x86_64__)
constexpr bool kCanGoPast = true;

void copy_line_past(std::byte* out, const std::byte* in) noexcept {
    const auto* from = reinterpret_cast<const __m128i*>(in);
    auto* to = reinterpret_cast<__m128i*>(out);
    const __m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1);
    const __m128i c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);
    _mm_stream_si128(to, a);
    _mm_stream_si128(to + 1, b);
    _mm_stream_si128(to + 2, c);
    _mm_stream_si128(to + 3, d);
}

// Four pages side by side, as glibc does for its largest copies (sysdeps/x86_64/multiarch/
// memmove-vec-unaligned-erms.S, "large_memcpy"): 128 MiB take 11.6 ms, one after the other 15.9.
void copy_past_the_cache(std::byte* out, const std::byte* in, std::size_t bytes) noexcept {
    constexpr std::size_t kLine = 64, kPage = 4096, kBlock = 4 * kPage;
    // Such stores may overtake older ones, too: the word that says that the bytes change.
    _mm_sfence();
    std::size_t at =
        std::min(bytes, (kLine - reinterpret_cast<std::uintptr_t>(out) % kLine) % kLine);
    std::memcpy(out, in, at);
    for (; at + kBlock <= bytes; at += kBlock) {
        for (std::size_t line = at; line < at + kPage; line += kLine) {
            for (std::size_t page = line; page < line + kBlock; page += kPage) {
                copy_line_past(out + page, in + page);
            }
        }
    }
    for (; at + kLine <= bytes; at += kLine) copy_line_past(out + at, in + at);
    std::memcpy(out + at, in + at, bytes - at);
    _mm_sfence();  // before the word that says that they are there
}
#else
constexpr bool kCanGoPast = false;

void copy_past_the_cache(std::byte* out, const std::byte* in, std::size_t bytes) noexcept {
    std::memcpy(out, in, bytes);
}
#endif

// Below it the cache keeps a copy for the reader, and memcpy is as fast.
constexpr std::size_t kLargeBytes = 256 << 10;

// A ring up to here stays in the cache that the reader shares, where it finds what memcpy left:
// two 1080p frames (12 MB) are faster with memcpy by a tenth. Above it depends on the machine, and
// what systems say of their caches is of no use (320 MiB on a virtual machine with a part of it):
// eight such frames (50 MB) take half as long again with memcpy on an EPYC, and on a Xeon with
// stores past the cache.
constexpr std::size_t kSharedCacheBytes = 16 << 20;

// Longer runs than any cache would only learn more slowly.
constexpr std::size_t kRunMaxBytes = 256 << 20;

// Less of it is read more slowly than the rest would be.
constexpr std::size_t kSampleBytes = 1 << 20;

CopyLesson& lesson_of(std::size_t working_set_bytes) {
    static std::array<CopyLesson, 65> all;
    return all[static_cast<std::size_t>(std::bit_width(working_set_bytes))];
}

// Reads the bytes as a reader might; the sum goes nowhere, but the compiler cannot know.
void look_at(const std::byte* bytes, std::size_t count) noexcept {
    constexpr std::size_t kSums = 16;
    std::array<std::uint64_t, kSums> sums{};
    for (std::size_t at = 0; at + sizeof sums <= count; at += sizeof sums) {
        std::array<std::uint64_t, kSums> words;
        std::memcpy(&words, bytes + at, sizeof words);
        for (std::size_t k = 0; k < kSums; ++k) sums[k] += words[k];
    }
    asm volatile("" : : "m"(sums));
}

}  // namespace

StreamCopy::StreamCopy(std::size_t bytes, std::size_t working_set_bytes) noexcept : bytes_(bytes) {
    if (!kCanGoPast || bytes < kLargeBytes || working_set_bytes <= kSharedCacheBytes) return;
    run_bytes_ = std::min(working_set_bytes, kRunMaxBytes);
    lesson_ = &lesson_of(working_set_bytes);
    learning_ = std::unique_lock(lesson_->learning, std::try_to_lock);
    is_past_ = lesson_->choice.is_past();
    is_measured_ = learning_.owns_lock() && lesson_->choice.is_measuring();
    if (is_measured_) begin_ns_ = monotonic_ns();
}

void StreamCopy::piece(std::byte* out, const std::byte* in, std::size_t bytes) const noexcept {
    if (is_past_) return copy_past_the_cache(out, in, bytes);
    std::memcpy(out, in, bytes);
}

void StreamCopy::finish(const std::byte* begin) noexcept {
    if (!learning_.owns_lock()) return;
    std::int64_t price_ns = 0;
    if (is_measured_) {
        // What is copied is read by somebody, and the slower of the two sets the pace. The first
        // bytes of a large copy are by now where another CPU would find them.
        const std::int64_t copied_ns = monotonic_ns();
        const std::size_t sample = std::min(bytes_, kSampleBytes);
        look_at(begin, sample);
        const double read_ns = static_cast<double>(monotonic_ns() - copied_ns) *
                               (static_cast<double>(bytes_) / static_cast<double>(sample));
        price_ns = std::max(copied_ns - begin_ns_, static_cast<std::int64_t>(read_ns));
    }
    lesson_->choice.note(bytes_, price_ns, run_bytes_);
    learning_.unlock();
}

void stream_copy(std::byte* out, const std::byte* in, std::size_t bytes,
                 std::size_t working_set_bytes) noexcept {
    StreamCopy copy(bytes, working_set_bytes);
    copy.piece(out, in, bytes);
    copy.finish(out);
}

}  // namespace ndshare::platform
