// support/frames.h: one process copies whole video frames in, the other adds up all of each; the
// same loops for every way of passing them. The receiver measures.
//
//   give_frames(side, send)     send(const std::uint64_t* words): copies a frame of kFrameWords
//   take_frames(side, receive)  receive(look): waits for the next one, calls look(words) where it
//                               lies
//
// Word 0 of a frame is its number, so every frame is another one; bench/payload.py has the sums.
#pragma once
#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

#include "support/pair.h"

namespace bench {

inline constexpr std::size_t kFrameBytes = std::size_t{1080} * 1920 * 3;
inline constexpr std::size_t kFrameWords = kFrameBytes / sizeof(std::uint64_t);

inline std::vector<std::uint64_t> make_frame() {
    std::vector<std::uint64_t> words(kFrameWords);
    for (std::uint64_t i = 1; i < kFrameWords; ++i) words[i] = i * 0x9E3779B97F4A7C15U;
    return words;
}

// Several sums at once: one would wait for its own last addition instead of for memory.
inline std::uint64_t sum_of_frame(const std::uint64_t* words) {
    constexpr std::size_t kSums = 16;
    static_assert(kFrameWords % kSums == 0);
    std::array<std::uint64_t, kSums> sums{};
    for (std::size_t k = 0; k < kFrameWords; k += kSums) {
        for (std::size_t i = 0; i < kSums; ++i) sums[i] += words[k + i];
    }
    return std::accumulate(sums.begin(), sums.end(), std::uint64_t{0});
}

template <class Receive>
void take_frames(Side& side, Receive receive, Findings findings = {}) {
    const std::uint64_t rest = sum_of_frame(make_frame().data());
    std::uint64_t sum = 0, wrong = 0, number = 0;
    const auto look = [&](const std::uint64_t* words) {
        const std::uint64_t found = sum_of_frame(words);
        wrong += found != rest + number++ ? 1U : 0U;
        sum += found;
    };
    side.meet();
    for (std::int64_t k = 0; k < side.warm_up(); ++k) receive(look);
    side.pin();
    side.meet();
    for (std::int64_t k = 0; k < side.warm_up(); ++k) receive(look);
    const std::uint64_t first = number;
    sum = 0;
    Samples samples(side.count());
    side.begin();
    std::int64_t last_ns = now_ns();
    for (std::int64_t k = 0; k < side.count(); ++k) {
        receive(look);
        const std::int64_t at_ns = now_ns();
        samples.add(at_ns - last_ns);
        last_ns = at_ns;
    }
    side.end();
    findings.insert(findings.begin(), {{"first", first}, {"checksum", sum}, {"wrong", wrong}});
    print_result(samples, side.cpu_of_both_ns(), findings);
}

template <class Send>
void give_frames(Side& side, Send send) {
    std::vector<std::uint64_t> words = make_frame();
    std::uint64_t number = 0;
    const auto run = [&](std::int64_t count) {
        for (std::int64_t k = 0; k < count; ++k) {
            words[0] = number++;
            send(words.data());
        }
    };
    side.meet();
    run(side.warm_up());
    side.pin();
    side.meet();
    run(side.warm_up());
    side.begin();
    run(side.count());
    side.end();
}

}  // namespace bench
