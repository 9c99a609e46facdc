// layout/hash.h: a 64-bit hash of bytes, for checksums against bit flips and for long names. Not
// for secrets. Multiply and fold by words, after the finaliser of MurmurHash3 (Appleby, public
// domain). Threads: any. Processes: any. Blocks: no.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

namespace ndshare::layout {

inline std::uint64_t mix(std::uint64_t x) {
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    x ^= x >> 33;
    return x;
}

inline std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed = 0) {
    std::uint64_t h = seed ^ mix(bytes.size() + 0x9e3779b97f4a7c15ULL);
    while (!bytes.empty()) {
        std::uint64_t word = 0;
        const std::size_t n = bytes.size() < 8 ? bytes.size() : 8;
        std::memcpy(&word, bytes.data(), n);
        h = (h ^ mix(word)) * 0x9ddfea08eb382d69ULL;
        h ^= h >> 29;
        bytes.remove_prefix(n);
    }
    return mix(h);
}

}  // namespace ndshare::layout
