// How fast do small payloads go one way through a stream that loses none (overflow: block)?
// --way loan fills them in place, --way put copies them in; the receiver reads them where they lie.
// --frame-bytes is the size of the whole frame, of which the payload is the front.
#include <cstring>

#include "ndshare/ndshare.hpp"
#include "support/one_way.h"

namespace {

using ndshare::Publisher;
using ndshare::Subscriber;

void first(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    Subscriber subscriber(side.name("stream"));
    bench::take_payloads(side, [&](auto look) {
        const auto frame = subscriber.get();
        look(reinterpret_cast<const std::uint64_t*>(frame->bytes().data()));
    });
    side.meet();
}

void second(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    const bench::Options& options = side.options();
    const std::size_t bytes = bench::payload_bytes(options);
    const std::int64_t frame_bytes =
        options.number("--frame-bytes", static_cast<std::int64_t>(bytes));
    const std::string way = options.text("--way", "put");
    if (way != "put" && way != "loan") throw std::invalid_argument("--way takes put or loan");
    ndshare::PublisherOptions wishes;
    wishes.shape = {frame_bytes / 8};
    wishes.dtype = "u8";
    wishes.slots = static_cast<int>(options.number("--slots", 8));
    wishes.overflow = ndshare::Overflow::block;
    Publisher publisher(side.name("stream"), wishes);
    // Before the first, or the subscriber would miss what it was too late for.
    bool is_awaited = false;
    const auto give = [&](auto send) {
        bench::give(side, [&](const std::uint64_t* words) {
            if (!is_awaited) is_awaited = publisher.wait_subscribers(1);
            send(words);
        });
    };
    if (way == "loan") {
        give([&](const std::uint64_t* words) {
            auto loan = publisher.loan();
            std::memcpy(loan.bytes().data(), words, bytes);
            (void)loan.publish();
        });
    } else {
        give([&](const std::uint64_t* words) {
            (void)publisher.put_bytes(std::as_bytes(std::span(words, bytes / sizeof *words)));
        });
    }
    side.meet();  // nobody closes inside a measurement
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {"--way", "--bytes", "--frame-bytes", "--slots"}, 0, first,
                           second);
}
