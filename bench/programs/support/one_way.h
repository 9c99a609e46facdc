// support/one_way.h: one process sends small payloads, the other receives each of them, in order
// and complete; the same loops for every way of passing them. The receiver measures.
//
//   give(side, send)     send(const std::uint64_t* words): the payload's, to be copied
//   take(side, receive)  receive(look): waits for the next one and calls look(const std::uint64_t*)
//                        where it lies
//
// A payload is the front of a Small: kLineWords or kSmallWords words of it.
#pragma once
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/pair.h"
#include "support/pause.h"
#include "support/payload.h"

namespace bench {

// 48 bytes: with a number beside them they fit into one cache line.
inline constexpr std::size_t kLineWords = 6;
// An operation takes about as long as a look at the clock; a sample is of this many.
inline constexpr std::int64_t kOpsPerSample = 64;

// A multiple of the number of payloads too, so that the first counted one is the first.
inline std::int64_t one_way_count(const Side& side) {
    return (side.count() + kOpsPerSample - 1) / kOpsPerSample * kOpsPerSample;
}

template <std::size_t Words, class Receive>
void take(Side& side, Receive receive, Findings findings = {}) {
    const std::vector<Small> smalls = make_smalls();
    std::uint64_t sum = 0, wrong = 0, number = 0;
    // The whole payload is read; its first word says whether one was lost, came twice or early.
    const auto look = [&](const std::uint64_t* words) {
        sum += std::accumulate(words, words + Words, std::uint64_t{0});
        wrong += words[0] != smalls[number++ % kSmallCount][0] ? 1U : 0U;
    };
    const auto warm_up = [&] {
        for (std::int64_t k = 0; k < side.warm_up(); ++k) receive(look);
    };
    side.meet();
    warm_up();
    side.pin();
    side.meet();
    warm_up();
    if (wrong != 0) throw std::runtime_error("what was received is not what was sent");
    sum = 0;
    Samples samples(one_way_count(side) / kOpsPerSample);
    side.begin();
    std::int64_t last_ns = now_ns();
    for (std::int64_t k = 0; k < one_way_count(side); k += kOpsPerSample) {
        for (std::int64_t i = 0; i < kOpsPerSample; ++i) receive(look);
        const std::int64_t at_ns = now_ns();
        samples.add(at_ns - last_ns);
        last_ns = at_ns;
    }
    side.end();
    findings.insert(findings.begin(), {{"checksum", sum}, {"wrong", wrong}});
    print_result(samples, side.cpu_of_both_ns(), findings, kOpsPerSample);
}

template <class Send>
void give(Side& side, Send send) {
    const std::vector<Small> smalls = make_smalls();
    const auto run = [&](std::int64_t count) {
        for (std::int64_t k = 0; k < count; ++k) {
            send(smalls[static_cast<std::size_t>(k) % kSmallCount].data());
        }
    };
    side.meet();
    run(side.warm_up());
    side.pin();
    side.meet();
    run(side.warm_up());
    side.begin();
    run(one_way_count(side));
    side.end();
}

// --bytes 48 or 480.
inline bool is_small(const Options& options) {
    const std::int64_t bytes = options.number("--bytes", kSmallWords * sizeof(std::uint64_t));
    if (bytes == kSmallWords * sizeof(std::uint64_t)) return true;
    if (bytes == kLineWords * sizeof(std::uint64_t)) return false;
    throw std::invalid_argument("--bytes takes 48 or 480");
}

inline std::size_t payload_bytes(const Options& options) {
    return (is_small(options) ? kSmallWords : kLineWords) * sizeof(std::uint64_t);
}

// take() with the number of words that --bytes says.
template <class Receive>
void take_payloads(Side& side, Receive receive) {
    if (is_small(side.options())) {
        take<kSmallWords>(side, receive);
    } else {
        take<kLineWords>(side, receive);
    }
}

}  // namespace bench
