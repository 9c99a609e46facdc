// How many 1080p frames a second can one process copy into shared memory and another add up, with
// two counters between them and nothing else? Tries 2, 4 and 8 slots, each with memcpy and with
// stores that go past the cache, and measures the fastest: the limit for a stream.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>

#include "support/frames.h"
#include "support/pause.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace {

constexpr std::uint64_t kSlotsMax = 8;
constexpr std::size_t kSlotBytes = (bench::kFrameBytes + 4095) / 4096 * 4096;
constexpr std::size_t kPoolOffsetBytes = 4096;

struct Control {
    alignas(64) std::atomic<std::uint64_t> sent;
    alignas(64) std::atomic<std::uint64_t> taken;
    alignas(64) std::atomic<std::uint64_t> fastest;
};

using Copy = void (*)(std::byte* to, const std::uint64_t* from);

void copy_plainly(std::byte* to, const std::uint64_t* from) {
    std::memcpy(to, from, bench::kFrameBytes);
}

#if defined(__x86_64__)
void copy_past_the_cache(std::byte* to, const std::uint64_t* from) {
    const auto* in = reinterpret_cast<const __m128i*>(from);
    auto* out = reinterpret_cast<__m128i*>(to);
    static_assert(bench::kFrameBytes % 64 == 0);
    for (std::size_t k = 0; k < bench::kFrameBytes / 16; k += 4) {
        const __m128i a = _mm_loadu_si128(in + k), b = _mm_loadu_si128(in + k + 1);
        const __m128i c = _mm_loadu_si128(in + k + 2), d = _mm_loadu_si128(in + k + 3);
        _mm_stream_si128(out + k, a);
        _mm_stream_si128(out + k + 1, b);
        _mm_stream_si128(out + k + 2, c);
        _mm_stream_si128(out + k + 3, d);
    }
    _mm_sfence();  // such stores are not ordered by the release that follows
}

constexpr Copy kCopies[] = {copy_plainly, copy_past_the_cache};
#else
constexpr Copy kCopies[] = {copy_plainly};
#endif

constexpr std::uint64_t kSlots[] = {2, 4, 8};
constexpr std::uint64_t kVariants = std::size(kSlots) * std::size(kCopies);

// Both sides of the ring; each uses one.
class Ring {
 public:
    explicit Ring(bench::Side& side)
        : control_(*reinterpret_cast<Control*>(side.shared())),
          pool_(side.shared() + kPoolOffsetBytes) {}

    // Both sides agree; what is under way is taken by then.
    void use(std::uint64_t variant) {
        slots_ = kSlots[variant / std::size(kCopies)];
        copy_ = kCopies[variant % std::size(kCopies)];
    }
    std::atomic<std::uint64_t>& fastest() { return control_.fastest; }
    std::uint64_t slots() const { return slots_; }

    void send(const std::uint64_t* words) {
        while (number_ - control_.taken.load(std::memory_order_acquire) >= slots_) look_again();
        copy_(pool_ + number_ % slots_ * kSlotBytes, words);
        control_.sent.store(++number_, std::memory_order_release);
    }
    template <class Look>
    void receive(Look look) {
        while (control_.sent.load(std::memory_order_acquire) == number_) look_again();
        look(reinterpret_cast<const std::uint64_t*>(pool_ + number_ % slots_ * kSlotBytes));
        control_.taken.store(++number_, std::memory_order_release);
    }

 private:
    static void look_again() {
        bench::pause_between_looks();
        bench::check_interrupted();
    }

    Control& control_;
    std::byte* pool_;
    std::uint64_t slots_ = 2, number_ = 0;
    Copy copy_ = copy_plainly;
};

// Each variant is tried so often, in turn, and its median counts: one trial may be disturbed, and
// some are fast in one moment and slow in the next.
constexpr int kTrials = 3;

std::int64_t frames_a_trial(const bench::Side& side) {
    return std::clamp<std::int64_t>(side.count() / 40, 8, 50);
}

// Both sides go through the same variants.
template <class Try>
void try_all(bench::Side& side, Ring& ring, Try try_one) {
    for (int trial = 0; trial < kTrials; ++trial) {
        for (std::uint64_t variant = 0; variant < kVariants; ++variant) {
            ring.use(variant);
            side.meet();
            try_one(variant);
        }
    }
}

void first(bench::Side& side) {
    Ring ring(side);
    side.pin();
    std::vector<bench::Samples> trials(kVariants, bench::Samples(kTrials));
    std::uint64_t sum = 0;
    try_all(side, ring, [&](std::uint64_t variant) {
        const std::int64_t begin_ns = bench::now_ns();
        for (std::int64_t k = 0; k < frames_a_trial(side); ++k) {
            ring.receive([&](const std::uint64_t* words) { sum += bench::sum_of_frame(words); });
        }
        trials[variant].add(bench::now_ns() - begin_ns);
    });
    const auto median = [](const bench::Samples& samples) { return samples.percentile(50); };
    const auto fastest =
        static_cast<std::uint64_t>(std::ranges::min_element(trials, {}, median) - trials.begin());
    if (sum == 0) throw std::runtime_error("the frames are empty");
    ring.fastest().store(fastest, std::memory_order_relaxed);
    side.meet();
    ring.use(fastest);
    bench::take_frames(side, [&](auto look) { ring.receive(look); },
                       {{"slots", ring.slots()}, {"copy", fastest % std::size(kCopies)}});
}

void second(bench::Side& side) {
    Ring ring(side);
    side.pin();
    const std::vector<std::uint64_t> words = bench::make_frame();
    try_all(side, ring, [&](std::uint64_t) {
        for (std::int64_t k = 0; k < frames_a_trial(side); ++k) ring.send(words.data());
    });
    side.meet();
    ring.use(ring.fastest().load(std::memory_order_relaxed));
    bench::give_frames(side, [&](const std::uint64_t* frame) { ring.send(frame); });
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {}, kPoolOffsetBytes + kSlotsMax * kSlotBytes, first,
                           second);
}
