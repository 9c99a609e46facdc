// What does a frame of 480 bytes cost its publisher when 1, 2, ... --subscribers processes get it?
// It publishes 32 frames at once and waits until all of them have read them; only the publishing is
// measured. All subscribers share the second CPU.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "ndshare/ndshare.hpp"
#include "support/pair.h"
#include "support/pause.h"
#include "support/payload.h"

namespace {

constexpr std::int64_t kBurst = 32;
constexpr int kSlots = 2 * kBurst;

// Of each subscriber: what it has read.
struct alignas(64) Report {
    std::atomic<std::uint64_t> frames, sum, wrong;
};

Report* reports(bench::Side& side) { return reinterpret_cast<Report*>(side.shared()); }

std::int64_t subscribers(const bench::Side& side) {
    return side.options().number("--subscribers", 1);
}

std::int64_t burst_count(std::int64_t frames) { return (frames + kBurst - 1) / kBurst; }

void first(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    ndshare::PublisherOptions wishes;
    wishes.shape = {bench::kSmallWords};
    wishes.dtype = "u8";
    wishes.slots = kSlots;
    wishes.overflow = ndshare::Overflow::block;
    ndshare::Publisher publisher(side.name("fan-out"), wishes);
    const std::vector<bench::Small> smalls = bench::make_smalls();
    std::uint64_t number = 0;
    const auto burst = [&] {
        const std::int64_t begin_ns = bench::now_ns();
        for (std::int64_t k = 0; k < kBurst; ++k) {
            (void)publisher.put_bytes(
                std::as_bytes(std::span(smalls[number++ % bench::kSmallCount])));
        }
        const std::int64_t took_ns = bench::now_ns() - begin_ns;
        for (std::int64_t s = 0; s < subscribers(side); ++s) {
            while (reports(side)[s].frames.load(std::memory_order_acquire) != number) {
                bench::pause_between_looks();
                bench::check_interrupted();
            }
        }
        return took_ns;
    };
    side.meet();
    publisher.wait_subscribers(static_cast<int>(subscribers(side)));
    for (std::int64_t k = 0; k < burst_count(side.warm_up()); ++k) burst();
    side.pin();
    for (std::int64_t k = 0; k < burst_count(side.warm_up()); ++k) burst();
    bench::Samples samples(burst_count(side.count()));
    const std::int64_t begin_ns = bench::now_ns();
    for (std::int64_t k = 0; k < burst_count(side.count()); ++k) samples.add(burst());
    const auto delivered_ns = static_cast<std::uint64_t>((bench::now_ns() - begin_ns) /
                                                         (burst_count(side.count()) * kBurst));
    publisher.end();
    side.meet();  // all have read the end
    std::uint64_t sum = 0, wrong = 0;
    for (std::int64_t s = 0; s < subscribers(side); ++s) {
        sum += reports(side)[s].sum.load(std::memory_order_relaxed);
        wrong += reports(side)[s].wrong.load(std::memory_order_relaxed);
        wrong += reports(side)[s].frames.load(std::memory_order_relaxed) != number ? 1U : 0U;
    }
    // That of the publisher while it publishes; waiting for the others is no part of it.
    bench::print_result(
        samples, samples.total(),
        {{"checksum", sum}, {"wrong", wrong}, {"frames", number}, {"delivered_ns", delivered_ns}},
        kBurst);
}

// Reads until the stream ends.
void subscribe(bench::Side& side, Report& report) {
    ndshare::Subscriber subscriber(side.name("fan-out"));
    const std::vector<bench::Small> smalls = bench::make_smalls();
    std::uint64_t sum = 0, number = 0;
    for (const ndshare::Frame& frame : subscriber) {
        const auto* words = reinterpret_cast<const std::uint64_t*>(frame.bytes().data());
        sum += std::accumulate(words, words + bench::kSmallWords, std::uint64_t{0});
        if (words[0] != smalls[number % bench::kSmallCount][0]) {
            report.wrong.fetch_add(1, std::memory_order_relaxed);
        }
        report.sum.store(sum, std::memory_order_relaxed);
        report.frames.store(++number, std::memory_order_release);
        if (number == kBurst) side.pin();
    }
}

// One more subscriber, in a process of its own. A failure ends all.
pid_t fork_subscriber(bench::Side& side, Report& report) {
    const pid_t parent = getpid(), child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    try {
        subscribe(side, report);
        _exit(0);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        kill(parent, SIGTERM);
        _exit(1);
    }
}

void second(bench::Side& side) {
    ndshare::set_interrupt_check(bench::check_interrupted);
    std::signal(SIGCHLD, SIG_DFL);  // its own children end before it does: no failure
    side.meet();
    std::vector<pid_t> children;
    for (std::int64_t s = 1; s < subscribers(side); ++s) {
        children.push_back(fork_subscriber(side, reports(side)[s]));
        if (children.back() < 0) throw std::runtime_error("fork failed");
    }
    subscribe(side, reports(side)[0]);
    for (const pid_t child : children) {
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        if (status != 0) throw std::runtime_error("a subscriber failed");
    }
    side.meet();
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {"--subscribers"}, 4096, first, second);
}
