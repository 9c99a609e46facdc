// How fast can two processes that sleep pass 480 bytes back and forth, done by hand: memcpy, one
// store, FUTEX_WAKE, FUTEX_WAIT, memcpy? The limit for a round trip that sleeps at once.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "support/ping_pong.h"

namespace {

struct alignas(64) Box {
    bench::Small small;
    alignas(64) std::atomic<std::uint32_t> number;
};

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) {
    return syscall(SYS_futex, &word, operation, value, nullptr, nullptr, 0);
}

class End {
 public:
    End(Box& out, Box& in) : out_(out), in_(in) {}
    void send(const bench::Small& small) {
        std::memcpy(&out_.small, &small, sizeof small);
        out_.number.store(++sent_, std::memory_order_release);
        futex(out_.number, FUTEX_WAKE, 1);
    }
    void receive(bench::Small& small) {
        ++received_;
        for (;;) {
            const std::uint32_t seen = in_.number.load(std::memory_order_acquire);
            if (seen == received_) break;
            futex(in_.number, FUTEX_WAIT, seen);
            bench::check_interrupted();
        }
        std::memcpy(&small, &in_.small, sizeof small);
    }

 private:
    Box &out_, &in_;
    std::uint32_t sent_ = 0, received_ = 0;
};

Box* boxes(bench::Side& side) { return reinterpret_cast<Box*>(side.shared()); }

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(
        argc, argv, {}, 2 * sizeof(Box),
        [](bench::Side& side) { bench::ask(side, End(boxes(side)[0], boxes(side)[1])); },
        [](bench::Side& side) { bench::answer(side, End(boxes(side)[1], boxes(side)[0])); });
}
