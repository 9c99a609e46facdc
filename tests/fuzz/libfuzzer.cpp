// One target for libFuzzer: NDSHARE_FUZZ_TARGET is its function, NDSHARE_FUZZ_MUTATION the one of
// Mutator that knows what its inputs look like. What went wrong is said, and ends it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fuzz/mutate.h"
#include "fuzz/targets.h"

extern "C" {

std::size_t LLVMFuzzerMutate(std::uint8_t* bytes, std::size_t count, std::size_t most);

// Every other time as libFuzzer does it itself.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* bytes, std::size_t count, std::size_t most,
                                    unsigned seed);
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* bytes, std::size_t count, std::size_t most,
                                    unsigned seed) {
    if (seed % 2 == 0) return LLVMFuzzerMutate(bytes, count, most);
    ndshare::fuzz::Mutator mutator(seed);
    std::string made =
        mutator.NDSHARE_FUZZ_MUTATION({std::string(reinterpret_cast<char*>(bytes), count)});
    made.resize(std::min(made.size(), most));
    std::memcpy(bytes, made.data(), made.size());
    return made.size();
}

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count);
int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
    const std::string wrong =
        ndshare::fuzz::NDSHARE_FUZZ_TARGET({reinterpret_cast<const char*>(bytes), count});
    if (wrong.empty()) return 0;
    std::fprintf(stderr, "went wrong: %s\n", wrong.c_str());
    std::abort();
}

}  // extern "C"
