// soak/payload.h: bytes that prove themselves. Every cache line carries who wrote it, the how
// manieth it was, its own place, and a hash over these: no mixture of two writes passes.
// Values only. Threads: any. Blocks: no.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace ndshare::soak {

struct Mark {
    std::uint64_t writer = 0, count = 0;
    bool operator==(const Mark&) const = default;
};

struct ProvenLine {
    std::uint64_t writer, count, place, hash[5];
};
static_assert(sizeof(ProvenLine) == 64);

constexpr std::uint64_t mixed(std::uint64_t value) {  // splitmix64 (Steele, Lea, Flood 2014)
    value += 0x9E3779B97F4A7C15;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
    return value ^ (value >> 31);
}

inline ProvenLine line_of(const Mark& mark, std::uint64_t place) {
    ProvenLine line{mark.writer, mark.count, place, {}};
    std::uint64_t state = mixed(mark.writer ^ mixed(mark.count ^ mixed(place)));
    for (auto& word : line.hash) word = state = mixed(state);
    return line;
}

// Lines begin, begin + step, ...: so that a fill may be made in several strokes.
inline void fill(std::span<std::byte> bytes, const Mark& mark, std::size_t begin = 0,
                 std::size_t step = 1) {
    for (std::size_t k = begin; k < bytes.size() / 64; k += step) {
        const ProvenLine line = line_of(mark, k);
        std::memcpy(bytes.data() + 64 * k, &line, sizeof line);
    }
}

// Whose these bytes are; nullopt: they are torn, or were never written.
inline std::optional<Mark> proven(std::span<const std::byte> bytes) {
    ProvenLine first;
    std::memcpy(&first, bytes.data(), sizeof first);
    const Mark mark{first.writer, first.count};
    for (std::size_t k = 0; k < bytes.size() / 64; ++k) {
        const ProvenLine line = line_of(mark, k);
        if (std::memcmp(bytes.data() + 64 * k, &line, sizeof line) != 0) return std::nullopt;
    }
    return mark;
}

// What a call is answered with: a function of its own request.
constexpr std::uint64_t answer_to(const Mark& mark) {
    return mixed(mark.writer * 3 + mixed(mark.count + 1));
}

}  // namespace ndshare::soak
