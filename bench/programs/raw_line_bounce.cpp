// How fast can two processes that never sleep pass one cache line back and forth: six words and a
// number, written and read? What a message of one line costs at least when each is waited for.
#include <atomic>
#include <cstring>

#include "support/one_way.h"

namespace {

struct alignas(64) Line {
    std::uint64_t words[bench::kLineWords];
    std::atomic<std::uint64_t> number;
};

class End {
 public:
    End(Line& out, Line& in) : out_(out), in_(in) {}
    void send(const std::uint64_t* words) {
        std::memcpy(out_.words, words, sizeof out_.words);
        out_.number.store(++sent_, std::memory_order_release);
    }
    template <class Look>
    void receive(Look look) {
        ++received_;
        while (in_.number.load(std::memory_order_acquire) != received_) {
            bench::pause_between_looks();
            bench::check_interrupted();
        }
        look(in_.words);
    }

 private:
    Line &out_, &in_;
    std::uint64_t sent_ = 0, received_ = 0;
};

Line* lines(bench::Side& side) { return reinterpret_cast<Line*>(side.shared()); }

// The answer to every payload is the same one.
void first(bench::Side& side) {
    End end(lines(side)[0], lines(side)[1]);
    const std::vector<bench::Small> smalls = bench::make_smalls();
    bench::take<bench::kLineWords>(side, [&, k = std::size_t{0}](auto look) mutable {
        end.send(smalls[k++ % bench::kSmallCount].data());
        end.receive(look);
    });
}

void second(bench::Side& side) {
    End end(lines(side)[1], lines(side)[0]);
    bench::give(side, [&](const std::uint64_t*) {
        end.receive([&](const std::uint64_t* words) { end.send(words); });
    });
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {}, 2 * sizeof(Line), first, second);
}
