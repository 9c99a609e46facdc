// What does it cost to open an array that another process created, touch its first element and
// close it again? --persistent 1: a file instead of memory held by the kernel.
#include "ndshare/ndshare.hpp"
#include "support/pair.h"
#include "support/payload.h"

namespace {

void attach(bench::Side& side) {
    const std::string name = side.name("attach");
    side.meet();  // the array is there
    std::uint64_t sum = 0;
    const auto once = [&] {
        const auto array = ndshare::Array::open(name);
        sum += array.view<const std::uint64_t, 1>()(0);
    };
    for (std::int64_t k = 0; k < side.warm_up(); ++k) once();
    side.pin();
    sum = 0;
    bench::Samples samples(side.count());
    side.begin();
    std::int64_t last_ns = bench::now_ns();
    for (std::int64_t k = 0; k < side.count(); ++k) {
        once();
        const std::int64_t now_ns = bench::now_ns();
        samples.add(now_ns - last_ns);
        last_ns = now_ns;
        bench::check_interrupted();
    }
    side.end();
    const auto whole = ndshare::Array::open(name);
    for (const std::uint64_t word : whole.view<const std::uint64_t, 1>().span()) sum += word;
    bench::print_result(samples, side.cpu_of_both_ns(), {{"checksum", sum}});
    side.meet();
}

void hold(bench::Side& side) {
    const bench::Small small = bench::make_smalls()[0];
    ndshare::CreateOptions options;
    options.sharing.persistent = side.options().number("--persistent", 0) != 0;
    auto array =
        ndshare::Array::create(side.name("attach"), {.shape = {bench::kSmallWords}, .dtype = "u8"},
                               std::as_bytes(std::span(small)), options);
    try {
        side.meet();
        side.begin();
        side.end();
        side.meet();
    } catch (...) {
        array.unlink();
        throw;
    }
    array.unlink();
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {"--persistent"}, 0, attach, hold);
}
