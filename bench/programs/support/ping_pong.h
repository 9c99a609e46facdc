// support/ping_pong.h: the loops of a round trip, the same for every way of passing 480 bytes.
// An End has send(const Small&) and receive(Small&), which waits for the next one.
#pragma once
#include <stdexcept>
#include <vector>

#include "support/pair.h"
#include "support/payload.h"

namespace bench {

// The first side: sends, waits for the answer, compares it with what was sent.
template <class End>
void ask(Side& side, End end) {
    const std::vector<Small> smalls = make_smalls();
    Small received{};
    std::uint64_t sum = 0;
    const auto round_trip = [&](std::int64_t k) {
        const Small& sent = smalls[static_cast<std::size_t>(k) % kSmallCount];
        end.send(sent);
        end.receive(received);
        if (received != sent) throw std::runtime_error("the answer is not what was sent");
        sum += sum_of(received);
    };
    side.meet();
    for (std::int64_t k = 0; k < side.warm_up(); ++k) round_trip(k);
    side.pin();
    side.meet();
    for (std::int64_t k = 0; k < side.warm_up(); ++k) round_trip(k);
    sum = 0;
    Samples samples(side.count());
    side.begin();
    std::int64_t last_ns = now_ns();
    for (std::int64_t k = 0; k < side.count(); ++k) {
        round_trip(k);
        const std::int64_t at_ns = now_ns();
        samples.add(at_ns - last_ns);
        last_ns = at_ns;
    }
    side.end();
    print_result(samples, side.cpu_of_both_ns(), {{"checksum", sum}});
}

// The second side: sends back what it received.
template <class End>
void answer(Side& side, End end) {
    Small received{};
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
    serve(side.warm_up());
    side.begin();
    serve(side.count());
    side.end();
}

}  // namespace bench
