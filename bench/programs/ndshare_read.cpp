// How fast can 1 MB be read as one consistent copy while another process writes it a thousand times
// a second? A torn copy or a version that goes backwards is a failure.
#include "ndshare/ndshare.hpp"
#include "support/block.h"

namespace {

using ndshare::Array;

void first(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    side.meet();
    const auto array = Array::open(side.name("block"));
    bench::read_blocks(side, [&](std::uint64_t* words) {
        array.read(std::as_writable_bytes(std::span(words, bench::kBlockWords)));
    });
    side.meet();
}

void second(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    auto array = Array::create(side.name("block"), {.shape = {bench::kBlockWords}, .dtype = "u8"});
    side.meet();
    bench::write_blocks(side, [&](const std::uint64_t* words) {
        array.assign(std::span(words, bench::kBlockWords));
    });
    side.meet();
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {}, bench::kBlockOffsetBytes, first, second);
}
