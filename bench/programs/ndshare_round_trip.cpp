// How fast do two processes pass 480 bytes back and forth through two arrays: assign, wait, read?
// --spin 0 sleeps at once, --spin default looks for a moment first.
#include "ndshare/ndshare.hpp"
#include "support/ping_pong.h"

namespace {

using ndshare::Array;

ndshare::Timeout spin_of(const bench::Side& side) {
    const std::string text = side.options().text("--spin", "default");
    return text == "default" ? ndshare::Timeout(-1) : ndshare::Timeout(std::stoll(text));
}

class End {
 public:
    End(Array& out, Array& in) : out_(out), in_(in) {}
    void send(const bench::Small& small) { out_.assign_bytes(std::as_bytes(std::span(small))); }
    void receive(bench::Small& small) {
        in_.wait();
        in_.read(std::as_writable_bytes(std::span(small)));
    }

 private:
    Array &out_, &in_;
};

void first(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    const ndshare::Spec spec{.shape = {bench::kSmallWords}, .dtype = "u8"};
    ndshare::CreateOptions options;
    options.spin = spin_of(side);
    auto question = Array::create(side.name("question"), spec, options);
    auto reply = Array::create(side.name("reply"), spec, options);
    side.meet();
    bench::ask(side, End(question, reply));
    side.meet();  // both have closed nothing yet: no name changes hands inside a measurement
}

void second(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    side.meet();
    ndshare::OpenOptions options{.writeable = true};
    options.spin = spin_of(side);
    auto question = Array::open(side.name("question"), options);
    auto reply = Array::open(side.name("reply"), options);
    bench::answer(side, End(reply, question));
    side.meet();
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {"--spin"}, 0, first, second);
}
