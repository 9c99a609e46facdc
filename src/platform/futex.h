// platform/futex.h: sleeping on a 32-bit word that processes share. Linux futex(2), never the
// private form: std::atomic::wait uses that one and would not wake another process.
// Threads: any. Processes: any that map the word. The word may lie in read-only memory (waiting).
#pragma once
#include <cstdint>
#include <span>

namespace ndshare::platform {

// Sleeps while *word == expected, at most timeout_ns. Returns for any reason, also none: look
// again. Not retried after a signal: the caller asks its interrupt check first.
void futex_wait(const std::uint32_t* word, std::uint32_t expected,
                std::int64_t timeout_ns) noexcept;
void futex_wake_all(std::uint32_t* word) noexcept;
void futex_wake_one(std::uint32_t* word) noexcept;

struct FutexWord {
    const std::uint32_t* word;
    std::uint32_t expected;
};
inline constexpr std::size_t kFutexWordsMax = 128;
// The same for several words; false: this kernel cannot (before 5.16, or a filter refuses).
bool futex_wait_any(std::span<const FutexWord> words, std::int64_t timeout_ns) noexcept;

}  // namespace ndshare::platform
