// What does a batch of 8 calls cost its worker beyond the model itself? 64 calls wait, the worker
// takes them 8 at a time; then the same model runs on 8 images side by side in this process.
#include <chrono>

#include "ndshare/ndshare.hpp"
#include "support/detector.h"

namespace {

constexpr std::int64_t kBatch = 8, kCalls = 64, kBatches = kCalls / kBatch;
constexpr ndshare::Timeout kPatience = std::chrono::seconds(20);

// A multiple of the batches that wait at once.
std::int64_t rounds(std::int64_t batches) { return (batches + kBatches - 1) / kBatches; }

std::int64_t rounds_of(const bench::Side& side) {
    return rounds(side.warm_up()) + rounds(side.count());
}

// The other side: asks, and looks at the answers of calls that came back in batches.
void ask(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    const std::size_t nbytes = bench::image_nbytes(side);
    bench::Image image = bench::make_image(nbytes);
    side.meet();  // the worker is there
    ndshare::Client client(side.name("service"));
    auto* const found = reinterpret_cast<std::uint64_t*>(side.shared());
    std::int64_t number = 0;
    for (std::int64_t round = 0; round < rounds_of(side); ++round) {
        if (round == rounds(side.warm_up())) {
            side.pin();
            found[0] = 0;
            number = 0;
        }
        std::vector<ndshare::Call> calls;
        std::vector<bench::Stamp> stamps;
        for (std::int64_t k = 0; k < kCalls; ++k) {
            stamps.push_back(bench::stamp_of(number++));
            bench::write_stamp(stamps.back(), image.data(), nbytes);
            calls.push_back(client.submit(std::span<const std::uint8_t>(image), kPatience));
        }
        side.meet();  // all of them wait
        side.meet();  // all of them are answered
        for (std::size_t k = 0; k < calls.size(); ++k) {
            const ndshare::Frame answer = calls[k].result();
            bench::Boxes boxes;
            std::memcpy(boxes.data(), answer.bytes().data(), sizeof boxes);
            found[0] += bench::sum_of(boxes);
            found[1] += boxes != bench::boxes_of(stamps[k]) ? 1U : 0U;
        }
    }
    side.end();
}

void work(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    const std::size_t nbytes = bench::image_nbytes(side);
    ndshare::Worker worker = bench::make_worker(side, kCalls, ndshare::Timeout(-1));
    side.meet();
    std::uint64_t gathered = 0, batches = 0;
    bench::Samples samples(rounds(side.count()) * kBatches);
    for (std::int64_t round = 0; round < rounds_of(side); ++round) {
        const bool counts = round >= rounds(side.warm_up());
        if (round == rounds(side.warm_up())) {
            side.pin();
            side.begin();
        }
        side.meet();
        for (std::int64_t k = 0; k < kBatches; ++k) {
            const std::int64_t begin_ns = bench::now_ns();
            ndshare::Batch batch = worker.get({.max_batch_size = kBatch}, kPatience).value();
            if (batch.size() != kBatch) throw std::runtime_error("a batch is not of 8 calls");
            const bool copied = batch.is_gathered();
            bench::answer(std::move(batch), nbytes);
            const std::int64_t took_ns = bench::now_ns() - begin_ns;
            if (!counts) continue;
            samples.add(took_ns);
            gathered += copied ? 1U : 0U;
            ++batches;
        }
        side.meet();
    }
    side.end();
    // The model alone.
    std::vector<std::uint8_t> images;
    for (std::int64_t k = 0; k < kBatch; ++k) {
        const bench::Image image = bench::make_image(nbytes);
        images.insert(images.end(), image.begin(), image.end());
    }
    std::array<bench::Boxes, kBatch> boxes;
    bench::Samples alone(side.count());
    for (std::int64_t k = 0; k < side.count(); ++k) {
        const bench::Stamp stamp = bench::stamp_of(k);
        bench::write_stamp(stamp, images.data() + static_cast<std::size_t>(k % kBatch) * nbytes,
                           nbytes);
        const std::int64_t begin_ns = bench::now_ns();
        for (std::size_t i = 0; i < kBatch; ++i) {
            bench::detect(images.data() + i * nbytes, nbytes, boxes[i].data());
        }
        alone.add(bench::now_ns() - begin_ns);
        if (boxes[static_cast<std::size_t>(k % kBatch)] != bench::boxes_of(stamp)) {
            throw std::runtime_error("the model is wrong");
        }
    }
    const std::int64_t model_ns = alone.percentile(50);
    const auto* const found = reinterpret_cast<const std::uint64_t*>(side.shared());
    bench::print_result(samples, side.cpu_of_both_ns(),
                        {{"checksum", found[0]},
                         {"wrong", found[1]},
                         {"model_ns", static_cast<std::uint64_t>(model_ns)},
                         {"overhead_ns", static_cast<std::uint64_t>(std::max<std::int64_t>(
                                             0, samples.percentile(50) - model_ns))},
                         {"gathered", gathered},
                         {"calls", batches * kBatch}});
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {"--bytes"}, 4096, work, ask);
}
