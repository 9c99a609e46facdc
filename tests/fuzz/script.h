// fuzz/script.h: an input as a list of steps: what a fuzzer changes, a target reads as "write this
// word there, then ask for a frame". Every byte string is a script; at its end all reads give 0.
// Threads: one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ndshare::fuzz {

class Script {
 public:
    static constexpr std::size_t kStepsMax = 32;

    explicit Script(std::string_view input) : rest_(input) {}
    // A step is left. Bounded, so that no input takes long.
    bool next() { return !rest_.empty() && steps_++ < kStepsMax; }
    std::uint8_t byte() {
        if (rest_.empty()) return 0;
        const auto value = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        return value;
    }
    std::size_t below(std::size_t count) { return byte() % count; }
    std::uint64_t bytes(std::size_t count) {
        std::uint64_t value = 0;
        for (std::size_t k = 0; k < count; ++k) value |= std::uint64_t{byte()} << 8 * k;
        return value;
    }
    // What a word becomes that was old: often near it, often one of the values that code tests for.
    std::uint64_t number(std::uint64_t old);

 private:
    std::string_view rest_;
    std::size_t steps_ = 0;
};

inline std::uint64_t Script::number(std::uint64_t old) {
    static constexpr std::uint64_t kOdd[] = {
        0,      1,      2,      3,          7,          63,         64,          255,
        256,    1023,   1024,   1025,       4095,       4096,       4097,        0x3fff,
        0x4000, 0x8000, 0xc000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, ~std::uint64_t{0}};
    switch (below(6)) {
        case 0:
            return bytes(8);
        case 1:
            return kOdd[below(sizeof kOdd / sizeof kOdd[0])];
        case 2:
            return old ^ std::uint64_t{1} << below(64);
        case 3:
            return old + bytes(1);
        case 4:
            return old - bytes(1);
        default:
            return bytes(2) << 8 * below(7);
    }
}

}  // namespace ndshare::fuzz
