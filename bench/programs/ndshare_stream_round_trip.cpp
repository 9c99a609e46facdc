// How fast do two processes pass 480 bytes back and forth through two streams: put, get, copy out?
// --spin 0 sleeps at once, --spin default looks for a moment first.
#include <cstring>

#include "ndshare/ndshare.hpp"
#include "support/ping_pong.h"

namespace {

using ndshare::Publisher;
using ndshare::Subscriber;

ndshare::Timeout spin_of(const bench::Side& side) {
    const std::string text = side.options().text("--spin", "default");
    return text == "default" ? ndshare::Timeout(-1) : ndshare::Timeout(std::stoll(text));
}

class End {
 public:
    End(Publisher& out, Subscriber& in) : out_(out), in_(in) {}
    void send(const bench::Small& small) { (void)out_.put_bytes(std::as_bytes(std::span(small))); }
    void receive(bench::Small& small) {
        const auto frame = in_.get();
        std::memcpy(&small, frame->bytes().data(), sizeof small);
    }

 private:
    Publisher& out_;
    Subscriber& in_;
};

struct Streams {
    Publisher out;
    Subscriber in;
};

Streams streams(bench::Side& side, const char* out, const char* in) {
    ndshare::PublisherOptions wishes;
    wishes.shape = {bench::kSmallWords};
    wishes.dtype = "u8";
    wishes.overflow = ndshare::Overflow::block;
    wishes.spin = spin_of(side);
    ndshare::SubscriberOptions taking;
    taking.spin = spin_of(side);
    Streams both{Publisher(side.name(out), wishes), Subscriber(side.name(in), taking)};
    side.meet();  // both streams are there
    return both;
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(
        argc, argv, {"--spin"}, 0,
        [](bench::Side& side) {
            ndshare::set_interrupt_check(bench::check_interrupted);
            auto [out, in] = streams(side, "question", "reply");
            bench::ask(side, End(out, in));
            side.meet();
        },
        [](bench::Side& side) {
            ndshare::set_interrupt_check(bench::check_interrupted);
            auto [out, in] = streams(side, "reply", "question");
            bench::answer(side, End(out, in));
            side.meet();
        });
}
