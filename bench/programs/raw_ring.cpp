// How fast do small payloads go one way through a bare ring between one writer and one reader: no
// names, no pins, no death, no sleep? The limit for a stream that loses nothing.
#include <atomic>
#include <cstring>

#include "support/one_way.h"

namespace {

constexpr std::uint64_t kSlots = 64;
using Slot = bench::Small;

// Each side's word in a line of its own, and beside it what it last saw of the other's.
struct Ring {
    alignas(64) std::atomic<std::uint64_t> sent;
    alignas(64) std::atomic<std::uint64_t> taken;
    alignas(64) std::byte slots[kSlots * sizeof(Slot)];

    // Payloads of 48 bytes lie closer together.
    std::uint64_t* slot(std::uint64_t number, std::size_t bytes) {
        return reinterpret_cast<std::uint64_t*>(slots + number % kSlots * bytes);
    }
};

Ring& ring(bench::Side& side) { return *reinterpret_cast<Ring*>(side.shared()); }

// 48 bytes take a line, 480 seven and a half: no two payloads share one.
std::size_t stride(const bench::Side& side) {
    return (bench::payload_bytes(side.options()) + 63) / 64 * 64;
}

void first(bench::Side& side) {
    Ring& from = ring(side);
    const std::size_t bytes = stride(side);
    bench::take_payloads(
        side, [&, bytes, taken = std::uint64_t{0}, seen = std::uint64_t{0}](auto look) mutable {
            while (seen == taken) {
                seen = from.sent.load(std::memory_order_acquire);
                if (seen != taken) break;
                bench::pause_between_looks();
                bench::check_interrupted();
            }
            look(from.slot(taken, bytes));
            from.taken.store(++taken, std::memory_order_release);
        });
}

void second(bench::Side& side) {
    Ring& to = ring(side);
    const std::size_t payload = bench::payload_bytes(side.options()), bytes = stride(side);
    bench::give(side, [&, payload, bytes, sent = std::uint64_t{0},
                       seen = std::uint64_t{0}](const std::uint64_t* words) mutable {
        while (sent - seen == kSlots) {
            seen = to.taken.load(std::memory_order_acquire);
            if (sent - seen != kSlots) break;
            bench::pause_between_looks();
            bench::check_interrupted();
        }
        std::memcpy(to.slot(sent, bytes), words, payload);
        to.sent.store(++sent, std::memory_order_release);
    });
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {"--bytes"}, sizeof(Ring) + kSlots * 64, first, second);
}
