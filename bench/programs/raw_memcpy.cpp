// How fast can 1 MB be copied out of shared memory while another process writes it a thousand times
// a second, without any care? The limit for a consistent read; some copies are torn, and counted.
#include <cstring>

#include "support/block.h"

namespace {

std::uint64_t* block(const bench::Side& side) {
    return reinterpret_cast<std::uint64_t*>(side.shared() + bench::kBlockOffsetBytes);
}

// Not inlined: the compiler must not conclude anything from bytes that another process changes.
__attribute__((noinline)) void copy(std::uint64_t* out, const std::uint64_t* in) {
    std::memcpy(out, in, bench::kBlockWords * sizeof(std::uint64_t));
    asm volatile("" ::: "memory");
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(
        argc, argv, {}, bench::kBlockOffsetBytes + bench::kBlockWords * sizeof(std::uint64_t),
        [](bench::Side& side) {
            bench::read_blocks(side, [&](std::uint64_t* words) { copy(words, block(side)); });
        },
        [](bench::Side& side) {
            bench::write_blocks(side,
                                [&](const std::uint64_t* words) { copy(block(side), words); });
        });
}
