// How long does a client wait for the answer of a worker in another process? --bytes of image,
// copied in; 20 x 6 numbers come back. --spin 0 sleeps at once, --spin default looks first.
#include <chrono>
#include <cstring>

#include "ndshare/ndshare.hpp"
#include "support/detector.h"

namespace {

constexpr ndshare::Timeout kPatience = std::chrono::seconds(20);

ndshare::Timeout spin_of(const bench::Side& side) {
    const std::string text = side.options().text("--spin", "default");
    return text == "default" ? ndshare::Timeout(-1) : ndshare::Timeout(std::stoll(text));
}

void ask(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    const std::size_t nbytes = bench::image_nbytes(side);
    bench::Image image = bench::make_image(nbytes);
    ndshare::Client client(side.name("service"), {.spin = spin_of(side)});
    std::uint64_t sum = 0, wrong = 0;
    const auto call = [&](std::int64_t number) {
        const bench::Stamp stamp = bench::stamp_of(number);
        bench::write_stamp(stamp, image.data(), nbytes);
        bench::Boxes boxes;
        const std::int64_t begin_ns = bench::now_ns();
        {
            const ndshare::Frame answer = client(std::span<const std::uint8_t>(image), kPatience);
            std::memcpy(boxes.data(), answer.bytes().data(), sizeof boxes);
        }
        const std::int64_t took_ns = bench::now_ns() - begin_ns;
        wrong += boxes != bench::boxes_of(stamp) ? 1U : 0U;
        sum += bench::sum_of(boxes);
        return took_ns;
    };
    side.meet();  // the worker is there
    for (std::int64_t k = 0; k < side.warm_up(); ++k) call(k);
    side.pin();
    side.meet();
    for (std::int64_t k = 0; k < side.warm_up(); ++k) call(k);
    sum = 0;
    bench::Samples samples(side.count());
    side.begin();
    for (std::int64_t k = 0; k < side.count(); ++k) samples.add(call(k));
    side.end();
    bench::print_result(samples, side.cpu_of_both_ns(),
                        {{"checksum", sum}, {"wrong", wrong}, {"clients", 1}});
}

void serve(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    const std::size_t nbytes = bench::image_nbytes(side);
    ndshare::Worker worker = bench::make_worker(side, 4, spin_of(side));
    const auto answer = [&](std::int64_t count) {
        for (std::int64_t k = 0; k < count; ++k) bench::answer(worker.get().value(), nbytes);
    };
    side.meet();
    answer(side.warm_up());
    side.pin();
    side.meet();
    answer(side.warm_up());
    side.begin();
    answer(side.count());
    side.end();
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {"--spin", "--bytes"}, 0, ask, serve);
}
