// support/payload.h: contents that prove themselves; bench/payload.py says the same in Python.
//
// Small: 480 bytes, one of 64 different ones, prepared beforehand and compared as a whole.
// Block: 1 MB; each word says its version and its place, so a mixture of two versions shows.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace bench {

inline constexpr std::size_t kSmallWords = 60, kSmallCount = 64;
inline constexpr std::size_t kBlockWords = 1'000'000 / 8;
using Small = std::array<std::uint64_t, kSmallWords>;

inline std::vector<Small> make_smalls() {
    std::vector<Small> all(kSmallCount);
    for (std::uint64_t k = 0; k < kSmallCount; ++k) {
        for (std::uint64_t i = 0; i < kSmallWords; ++i) {
            all[k][i] = (k + 1) * 0x9E3779B97F4A7C15U + i * 0xC2B2AE3D27D4EB4FU;
        }
    }
    return all;
}

inline std::uint64_t sum_of(const Small& small) {
    return std::accumulate(small.begin(), small.end(), std::uint64_t{0});
}

inline void fill_block(std::uint64_t* words, std::uint64_t version) {
    for (std::size_t i = 0; i < kBlockWords; ++i) words[i] = (version << 32) | i;
}

inline std::uint64_t version_of(const std::uint64_t* words) { return words[0] >> 32; }

inline bool is_whole(const std::uint64_t* words) {
    const std::uint64_t version = version_of(words) << 32;
    std::uint64_t wrong = 0;  // no early exit, so that the loop becomes vector instructions
    for (std::size_t i = 0; i < kBlockWords; ++i) wrong |= words[i] ^ (version | i);
    return wrong == 0;
}

}  // namespace bench
