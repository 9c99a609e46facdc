// How many 1080p frames a second go through a stream: copied in by the writer, added up in place by
// the reader, none lost (overflow: block)?
#include "ndshare/ndshare.hpp"
#include "support/frames.h"

namespace {

void first(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    ndshare::Subscriber subscriber(side.name("frames"));
    bench::take_frames(side, [&](auto look) {
        const auto frame = subscriber.get();
        look(reinterpret_cast<const std::uint64_t*>(frame->bytes().data()));
    });
    side.meet();
}

void second(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    ndshare::PublisherOptions wishes;
    wishes.shape = {1080, 1920, 3};
    wishes.dtype = "u1";
    wishes.slots = static_cast<int>(side.options().number("--slots", 8));
    wishes.overflow = ndshare::Overflow::block;
    ndshare::Publisher publisher(side.name("frames"), wishes);
    bench::give_frames(side, [&, there = false](const std::uint64_t* words) mutable {
        if (!there) there = publisher.wait_subscribers(1);
        (void)publisher.put_bytes(std::as_bytes(std::span(words, bench::kFrameWords)));
    });
    side.meet();
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {"--slots"}, 0, first, second);
}
