// How fast can two processes that never sleep pass 480 bytes back and forth, done by hand: memcpy,
// one store, a loop that looks at it, memcpy? The limit for a round trip with the default wait.
#include <atomic>
#include <cstring>

#include "support/pause.h"
#include "support/ping_pong.h"

namespace {

// 480 bytes and the number are eight lines together: no ninth has to travel.
struct alignas(64) Box {
    bench::Small small;
    std::atomic<std::uint64_t> number;
};

class End {
 public:
    End(Box& out, Box& in) : out_(out), in_(in) {}
    void send(const bench::Small& small) {
        std::memcpy(&out_.small, &small, sizeof small);
        out_.number.store(++sent_, std::memory_order_release);
    }
    void receive(bench::Small& small) {
        ++received_;
        while (in_.number.load(std::memory_order_acquire) != received_) {
            bench::pause_between_looks();
            bench::check_interrupted();
        }
        std::memcpy(&small, &in_.small, sizeof small);
    }

 private:
    Box &out_, &in_;
    std::uint64_t sent_ = 0, received_ = 0;
};

Box* boxes(bench::Side& side) { return reinterpret_cast<Box*>(side.shared()); }

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(
        argc, argv, {}, 2 * sizeof(Box),
        [](bench::Side& side) { bench::ask(side, End(boxes(side)[0], boxes(side)[1])); },
        [](bench::Side& side) { bench::answer(side, End(boxes(side)[1], boxes(side)[0])); });
}
