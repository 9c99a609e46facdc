// support/sized.h: contents of any size that prove themselves, and the loops around them;
// bench/sized.py says the same in Python.
//
// Word i is i times an odd constant; the first word is the payload's number, which is also added to
// the last one. Both are looked at each time, all words of the last payload when the clock has
// stopped.
#pragma once
#include <algorithm>
#include <stdexcept>
#include <vector>

#include "support/pair.h"

namespace bench {

inline constexpr std::uint64_t kSizedFactor = 0x9E3779B97F4A7C15U;
using Words = std::vector<std::uint64_t>;

inline std::size_t sized_words(const Options& options) {
    const auto bytes = options.number("--bytes", 480);
    if (bytes < 8 || bytes % 8 != 0) throw std::invalid_argument("--bytes takes a multiple of 8");
    return static_cast<std::size_t>(bytes) / 8;
}

inline std::uint64_t last_of(std::size_t words, std::uint64_t number) {
    return words > 1 ? (words - 1) * kSizedFactor + number : number;
}

inline Words make_sized(std::size_t count) {
    Words words(count);
    for (std::size_t i = 0; i < count; ++i) words[i] = i * kSizedFactor;
    return words;
}

inline void stamp(Words& words, std::uint64_t number) {
    words.back() = last_of(words.size(), number);
    words.front() = number;
}

inline bool is_stamped(const std::uint64_t* words, std::size_t count, std::uint64_t number) {
    return words[0] == number && words[count - 1] == last_of(count, number);
}

inline std::uint64_t sum_of(const std::uint64_t* words, std::size_t count) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += words[i];
    return sum;
}

// Slots of a ring of such payloads: many small ones, few large ones.
inline int sized_slots(std::size_t words) {
    const std::size_t bytes = words * 8;
    return bytes <= (1U << 16) ? 64 : bytes <= (1U << 26) ? 4 : 2;
}

// A look at the clock takes as long as a small payload.
inline std::int64_t sized_ops_per_sample(std::size_t words) { return words <= 8192 ? 64 : 1; }

// ---- there and back: send(const Words&), receive(Words&) ----------------------------------------

template <class End>
void ask_sized(Side& side, End& end) {
    Words sent = make_sized(sized_words(side.options()));
    Words received(sent.size(), 1);  // touched now
    std::uint64_t number = 0, wrong = 0;
    const auto round_trip = [&] {
        stamp(sent, number);
        end.send(sent);
        end.receive(received);
        wrong += is_stamped(received.data(), received.size(), number++) ? 0U : 1U;
    };
    side.meet();
    for (std::int64_t k = 0; k < side.warm_up(); ++k) round_trip();
    side.pin();
    side.meet();
    Samples samples(side.count());
    side.begin();
    std::int64_t last_ns = now_ns();
    for (std::int64_t k = 0; k < side.count(); ++k) {
        round_trip();
        const std::int64_t at_ns = now_ns();
        samples.add(at_ns - last_ns);
        last_ns = at_ns;
    }
    side.end();
    print_result(samples, side.cpu_of_both_ns(),
                 {{"last", number - 1},
                  {"checksum", sum_of(received.data(), received.size())},
                  {"wrong", wrong}});
}

template <class End>
void answer_sized(Side& side, End& end) {
    Words received(sized_words(side.options()), 1);
    const auto serve = [&](std::int64_t count) {
        for (std::int64_t k = 0; k < count; ++k) {
            end.receive(received);
            end.send(received);
        }
    };
    side.meet();
    serve(side.warm_up());
    side.pin();
    side.meet();
    side.begin();
    serve(side.count());
    side.end();
}

// ---- one way: take(look) calls look(words) on the next one where it lies, give(const Words&)
// ------

template <class Take>
void take_sized(Side& side, Take take) {
    const std::size_t words = sized_words(side.options());
    const std::int64_t ops = sized_ops_per_sample(words);
    std::uint64_t number = 0, wrong = 0, sum = 0;
    const auto look = [&](const std::uint64_t* found) {
        wrong += is_stamped(found, words, number++) ? 0U : 1U;
    };
    side.meet();
    for (std::int64_t k = 0; k < side.warm_up(); ++k) take(look);
    side.pin();
    side.meet();
    Samples samples(side.count() / ops);
    side.begin();
    std::int64_t last_ns = now_ns();
    for (std::int64_t k = 0; k < side.count() / ops; ++k) {
        for (std::int64_t n = 0; n < ops; ++n) take(look);
        const std::int64_t at_ns = now_ns();
        samples.add(at_ns - last_ns);
        last_ns = at_ns;
    }
    side.end();
    take([&](const std::uint64_t* found) {  // one more, outside of the clock
        look(found);
        sum = sum_of(found, words);
    });
    print_result(samples, side.cpu_of_both_ns(),
                 {{"last", number - 1}, {"checksum", sum}, {"wrong", wrong}}, ops);
}

template <class Give>
void give_sized(Side& side, Give give) {
    Words words = make_sized(sized_words(side.options()));
    const std::int64_t ops = sized_ops_per_sample(words.size());
    std::uint64_t number = 0;
    const auto run = [&](std::int64_t count) {
        for (std::int64_t k = 0; k < count; ++k) {
            stamp(words, number++);
            give(words);
        }
    };
    side.meet();
    run(side.warm_up());
    side.pin();
    side.meet();
    side.begin();
    run(side.count() / ops * ops);
    side.end();
    run(1);
}

}  // namespace bench
