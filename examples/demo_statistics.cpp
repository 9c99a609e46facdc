// The statistics of `ndshare demo`: a program of its own that follows both streams of the demo, at
// its own pace, and knows nothing but their names. The package installs it beside the demo.
//
//   demo_statistics FRAMES FACES
//
// Results are counted, so it takes every one, in order; their publisher waits for it ("block").
// Of the pictures it only wants to see the newest whenever it looks: a `latest` subscriber holds
// nobody back, however slow it is. Both are read where they lie: nothing is copied.
//
// Prints "ready" when no result can pass it by any more, and one line of JSON at the end, which is
// when the results end, or when nobody is left who could publish any.
#include <ndshare/ndshare.hpp>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <numeric>
#include <optional>

namespace {

using namespace std::chrono_literals;

// While nothing comes: how often to ask whether anybody is left who could publish.
constexpr auto kLookAfter = 250ms;

struct Statistics {
    std::uint64_t results = 0, missing = 0, repeated = 0, faces = 0, pictures = 0;
    double scores = 0, brightness = 0;  // sums
    std::uint64_t last_number = 0;      // pictures count from 1

    void add_result(const ndshare::Frame& result) {
        const auto number = result.value<const std::uint64_t>("number");
        if (number <= last_number) {
            ++repeated;
        } else {
            missing += number - last_number - 1;
            last_number = number;
        }
        ++results;
        for (const float score : result.view<const float, 1>("scores").span()) {
            ++faces;
            scores += static_cast<double>(score);
        }
    }
    void add_picture(const ndshare::Frame& picture) {
        const auto pixels = picture.view<const std::uint8_t, 3>("image").span();
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

// One of the two streams, and whether its publisher has ended it.
class Follower {
 public:
    Follower(const char* name, bool latest) : subscriber_(name, {.latest = latest}) {}
    std::optional<ndshare::Frame> get(ndshare::Timeout timeout) {
        if (ended_) return std::nullopt;
        try {
            return subscriber_.get(timeout);
        } catch (const ndshare::Error& error) {
            if (error.code() != ndshare::Errc::end_of_stream) throw;
            ended_ = true;
            return std::nullopt;
        }
    }
    bool ended() const { return ended_; }
    bool can_go_on() const { return !ended_ && subscriber_.publisher_count() > 0; }

 private:
    ndshare::Subscriber subscriber_;
    bool ended_ = false;
};

Statistics follow(Follower& frames, Follower& faces) {
    Statistics statistics;
    for (;;) {
        // A model that died is started again as long as somebody publishes frames. Asked before
        // the look, so that what was published last is seen.
        const bool over = !faces.can_go_on() && !frames.can_go_on();
        if (const auto result = faces.get(over ? 0ms : kLookAfter)) {
            statistics.add_result(*result);
        } else if (over || faces.ended()) {
            return statistics;
        }
        if (const auto picture = frames.get(0ms)) statistics.add_picture(*picture);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: demo_statistics FRAMES FACES\n";
        return 2;
    }
    try {
        Follower frames(argv[1], true), faces(argv[2], false);
        std::cout << "ready" << std::endl;
        follow(frames, faces).print();
    } catch (const ndshare::Error& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
