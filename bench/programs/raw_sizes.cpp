// The same as ndshare_sizes.cpp done by hand: memcpy into a slot of shared memory, one store, a
// loop that looks at it; there and back also memcpy out of it. The limit for a payload of any size.
#include <atomic>
#include <cstring>

#include "support/pause.h"
#include "support/sized.h"

namespace {

struct alignas(64) Counters {
    alignas(64) std::atomic<std::uint64_t> sent;
    alignas(64) std::atomic<std::uint64_t> taken;
};

constexpr std::size_t kLine = 64;

std::size_t slot_bytes(std::size_t words) { return (words * 8 + kLine - 1) / kLine * kLine; }

std::uint64_t slots_of(const bench::Options& options) {
    const bool one_way = options.text("--way", "round-trip") == "one-way";
    return one_way ? static_cast<std::uint64_t>(bench::sized_slots(bench::sized_words(options)))
                   : 1U;
}

std::size_t ring_bytes(const bench::Options& options) {
    return sizeof(Counters) + slots_of(options) * slot_bytes(bench::sized_words(options));
}

// One writer, one reader.
class Ring {
 public:
    Ring(const bench::Side& side, std::size_t number)
        : counters_(
              *reinterpret_cast<Counters*>(side.shared() + number * ring_bytes(side.options()))),
          slots_(reinterpret_cast<std::byte*>(&counters_ + 1)),
          count_(slots_of(side.options())),
          slot_bytes_(slot_bytes(bench::sized_words(side.options()))) {}

    void send(const bench::Words& words) {
        while (number_ - counters_.taken.load(std::memory_order_acquire) >= count_) look_again();
        std::memcpy(slots_ + number_ % count_ * slot_bytes_, words.data(), words.size() * 8);
        counters_.sent.store(++number_, std::memory_order_release);
    }
    template <class Look>
    void take(Look look) {
        while (counters_.sent.load(std::memory_order_acquire) == number_) look_again();
        look(reinterpret_cast<const std::uint64_t*>(slots_ + number_ % count_ * slot_bytes_));
        counters_.taken.store(++number_, std::memory_order_release);
    }

 private:
    static void look_again() {
        bench::pause_between_looks();
        bench::check_interrupted();
    }

    Counters& counters_;
    std::byte* slots_;
    std::uint64_t count_, slot_bytes_, number_ = 0;
};

class End {
 public:
    End(const bench::Side& side, std::size_t out) : out_(side, out), in_(side, 1 - out) {}
    void send(const bench::Words& words) { out_.send(words); }
    void receive(bench::Words& words) {
        in_.take([&](const std::uint64_t* found) {
            std::memcpy(words.data(), found, words.size() * 8);
        });
    }

 private:
    Ring out_, in_;
};

bool is_one_way(const bench::Side& side) {
    return side.options().text("--way", "round-trip") == "one-way";
}

void first(bench::Side& side) {
    if (is_one_way(side)) {
        Ring ring(side, 0);
        bench::take_sized(side, [&](auto look) { ring.take(look); });
    } else {
        End end(side, 0);
        bench::ask_sized(side, end);
    }
}

void second(bench::Side& side) {
    if (is_one_way(side)) {
        Ring ring(side, 0);
        bench::give_sized(side, [&](const bench::Words& words) { ring.send(words); });
    } else {
        End end(side, 1);
        bench::answer_sized(side, end);
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        // How much is shared is known before the processes part.
        const bench::Options options(argc, argv,
                                     {"--bytes", "--way", "--count", "--warm-up", "--cpus"});
        return bench::run_pair(argc, argv, {"--bytes", "--way"}, 2 * ring_bytes(options), first,
                               second);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
