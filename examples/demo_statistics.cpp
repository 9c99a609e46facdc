// The statistics of `ndshare demo`: a program of its own that follows the demo's stream, at its own
// pace, and knows nothing but its name. The package installs it beside the demo.
//
//   demo_statistics STREAM
//
// Numbers and faces are counted, so it takes every picture, in order; who publishes waits for it
// ("block"). Of the pixels it only wants to see the newest whenever it looks: a second subscriber,
// a `latest` one, holds nobody back. Both read where the pictures lie: nothing is copied.
//
// Prints "ready" when no picture can pass it by any more, and one line of JSON at the end, which is
// when the stream ends, or when nobody is left who could publish.
#include <ndshare/ndshare.hpp>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <numeric>
#include <optional>

namespace {

using namespace std::chrono_literals;

// While nothing comes: how often to ask whether anybody is left who could publish.
constexpr auto kLookAfter = 250ms;

struct Statistics {
    std::uint64_t results = 0, missing = 0, repeated = 0, faces = 0, pictures = 0;
    double scores = 0, brightness = 0;                   // sums
    std::map<std::uint32_t, std::uint64_t> last_number;  // of each camera; pictures count from 1

    void add_result(const ndshare::Frame& seen) {
        const auto number = seen.value<const std::uint64_t>("number");
        std::uint64_t& last = last_number[seen.value<const std::uint32_t>("camera")];
        if (number <= last) {
            ++repeated;
        } else {
            missing += number - last - 1;
            last = number;
        }
        ++results;
        for (const float score : seen.view<const float, 1>("scores").span()) {
            ++faces;
            scores += static_cast<double>(score);
        }
    }
    void add_pixels(const ndshare::Frame& seen) {
        const auto pixels = seen.view<const std::uint8_t, 3>("image").span();
        const auto sum = std::accumulate(pixels.begin(), pixels.end(), std::uint64_t{0});
        ++pictures;
        brightness += static_cast<double>(sum) / static_cast<double>(pixels.size());
    }
    static double mean(double sum, std::uint64_t count) {
        return count == 0 ? 0 : sum / static_cast<double>(count);
    }
    void print() const {
        std::cout << "{\"results\": " << results << ", \"missing\": " << missing
                  << ", \"repeated\": " << repeated << ", \"faces\": " << faces
                  << ", \"mean_score\": " << mean(scores, faces) << ", \"pictures\": " << pictures
                  << ", \"mean_brightness\": " << mean(brightness, pictures) << "}\n";
    }
};

Statistics follow(ndshare::Subscriber& every, ndshare::Subscriber& newest) {
    Statistics statistics;
    try {
        for (;;) {
            // Asked before the look, so that what was published last is seen.
            const bool over = every.publisher_count() == 0;
            if (const auto seen = every.get(over ? ndshare::Timeout(0ms) : kLookAfter)) {
                statistics.add_result(*seen);
            } else if (over) {
                break;
            }
            if (const auto seen = newest.get(0ms)) statistics.add_pixels(*seen);
        }
    } catch (const ndshare::Error& error) {
        if (error.code() != ndshare::Errc::end_of_stream) throw;
    }
    return statistics;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: demo_statistics STREAM\n";
        return 2;
    }
    try {
        ndshare::Subscriber every(argv[1]), newest(argv[1], {.latest = true});
        std::cout << "ready" << std::endl;
        follow(every, newest).print();
    } catch (const ndshare::Error& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
