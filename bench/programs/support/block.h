// support/block.h: one process writes 1 MB a thousand times a second, the other copies it out and
// looks at every copy; the same loops for every way of writing and reading.
#pragma once
#include <atomic>
#include <ctime>
#include <vector>

#include "support/pair.h"
#include "support/payload.h"

namespace bench {

inline constexpr std::int64_t kWritePeriodNs = 1'000'000;
inline constexpr std::uint64_t kWritesBeforePin = 20;
// The front of Side::shared() says when to stop; a block may follow.
inline constexpr std::size_t kBlockOffsetBytes = 4096;

inline std::atomic<std::uint32_t>& stop_word(const Side& side) {
    return *reinterpret_cast<std::atomic<std::uint32_t>*>(side.shared());
}

// read(words) copies the block out. Only that is timed, not the look at the copy.
template <class Read>
void read_blocks(Side& side, Read read) {
    std::vector<std::uint64_t> copy(kBlockWords);
    std::uint64_t versions = 0, torn = 0, backwards = 0, last_version = 0;
    side.meet();
    for (std::int64_t k = 0; k < side.warm_up(); ++k) read(copy.data());
    side.pin();
    Samples samples(side.count());
    side.begin();
    for (std::int64_t k = 0; k < side.count(); ++k) {
        const std::int64_t begin_ns = now_ns();
        read(copy.data());
        samples.add(now_ns() - begin_ns);
        const std::uint64_t version = version_of(copy.data());
        if (!is_whole(copy.data())) {
            ++torn;
        } else if (version < last_version) {
            ++backwards;
        }
        if (version != last_version) ++versions;
        last_version = version;
        check_interrupted();
    }
    stop_word(side).store(1, std::memory_order_relaxed);
    side.end();
    print_result(samples, side.cpu_of_both_ns(),
                 {{"torn", torn},
                  {"backwards", backwards},
                  {"versions", versions},
                  {"bytes", kBlockWords * sizeof(std::uint64_t)}});
}

// write(words) copies them into the block; they are made before, so that only a copy falls into it.
template <class Write>
void write_blocks(Side& side, Write write) {
    std::vector<std::uint64_t> words(kBlockWords);
    std::uint64_t version = 0;
    const auto write_next = [&] {
        fill_block(words.data(), ++version);
        write(words.data());
    };
    write_next();
    side.meet();
    timespec next{};
    clock_gettime(CLOCK_MONOTONIC, &next);
    side.begin();
    while (stop_word(side).load(std::memory_order_relaxed) == 0) {
        write_next();
        if (version == kWritesBeforePin) side.pin();
        next.tv_nsec += kWritePeriodNs;
        if (next.tv_nsec >= 1'000'000'000) {
            next.tv_nsec -= 1'000'000'000;
            ++next.tv_sec;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
        check_interrupted();
    }
    side.end();
}

}  // namespace bench
