// How long does a payload of --bytes take to another process and back through two arrays (--way
// round-trip), or into a stream whose reader looks at it where it lies (--way one-way)?
#include "ndshare/ndshare.hpp"
#include "support/sized.h"

namespace {

using ndshare::Array;

bool is_one_way(const bench::Side& side) {
    return side.options().text("--way", "round-trip") == "one-way";
}

class End {
 public:
    End(Array& out, Array& in) : out_(out), in_(in) {}
    void send(const bench::Words& words) { out_.assign_bytes(std::as_bytes(std::span(words))); }
    void receive(bench::Words& words) {
        in_.wait();
        in_.read(std::as_writable_bytes(std::span(words)));
    }

 private:
    Array &out_, &in_;
};

void ask(bench::Side& side) {
    const auto words = static_cast<std::int64_t>(bench::sized_words(side.options()));
    const ndshare::Spec spec{.shape = {words}, .dtype = "u8"};
    auto question = Array::create(side.name("question"), spec);
    auto reply = Array::create(side.name("reply"), spec);
    side.meet();
    End end(question, reply);
    bench::ask_sized(side, end);
    side.meet();
}

void answer(bench::Side& side) {
    side.meet();
    const ndshare::OpenOptions options{.writeable = true};
    auto question = Array::open(side.name("question"), options);
    auto reply = Array::open(side.name("reply"), options);
    End end(reply, question);
    bench::answer_sized(side, end);
    side.meet();
}

void take(bench::Side& side) {
    ndshare::Subscriber subscriber(side.name("sized"));
    bench::take_sized(side, [&](auto look) {
        const auto frame = subscriber.get();
        look(reinterpret_cast<const std::uint64_t*>(frame->bytes().data()));
    });
    side.meet();
}

void give(bench::Side& side) {
    const std::size_t words = bench::sized_words(side.options());
    ndshare::PublisherOptions wishes;
    wishes.shape = {static_cast<std::int64_t>(words)};
    wishes.dtype = "u8";
    wishes.slots = bench::sized_slots(words);
    wishes.overflow = ndshare::Overflow::block;
    ndshare::Publisher publisher(side.name("sized"), wishes);
    bench::give_sized(side, [&, there = false](const bench::Words& payload) mutable {
        if (!there) there = publisher.wait_subscribers(1);
        (void)publisher.put_bytes(std::as_bytes(std::span(payload)));
    });
    side.meet();
}

}  // namespace

int main(int argc, char** argv) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    return bench::run_pair(
        argc, argv, {"--bytes", "--way"}, 0,
        [](bench::Side& side) { is_one_way(side) ? take(side) : ask(side); },
        [](bench::Side& side) { is_one_way(side) ? give(side) : answer(side); });
}
