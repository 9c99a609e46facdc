// The service of the fault walk, as its child and its test both know it.
#include "child_services.h"

namespace ndshare::test {

Fields walk_inputs() { return {{"numbers", {.shape = {64}, .dtype = "u8"}}}; }
Fields walk_outputs() {
    return {{"sum", {.shape = {}, .dtype = "u8"}}, {"first", {.shape = {1}, .dtype = "u8"}}};
}
WorkerOptions walk_options() { return {.slots = 4, .retries = 15}; }

void fill(const Call& call, std::uint64_t value) {
    for (auto& number : call.input<std::uint64_t, 1>().span()) number = value;
}

void answer(Batch& batch) {
    const auto numbers = batch.input<const std::uint64_t, 2>();
    const auto sums = batch.output<std::uint64_t, 1>("sum");
    const auto firsts = batch.output<std::uint64_t, 2>("first");
    for (std::size_t k = 0; k < batch.size(); ++k) {
        std::uint64_t sum = 0;
        for (std::size_t n = 0; n < 64; ++n) sum += numbers(k, n);
        sums(k) = sum;
        firsts(k, 0) = numbers(k, 0);
    }
    batch.reply();
}

bool is_answer_to(const Frame& frame, std::uint64_t value) {
    return frame.value<std::uint64_t>("sum") == 64 * value &&
           frame.view<const std::uint64_t, 1>("first")(0) == value;
}

}  // namespace ndshare::test
