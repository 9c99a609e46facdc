// support/samples.h: durations of single operations, and the line of JSON that tells of them.
#pragma once
#include <cstdint>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

namespace bench {

inline std::int64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// User and system time of this process so far.
std::int64_t cpu_ns();

class Samples {
 public:
    // Memory for count samples is touched now, so that no page fault falls into a measurement.
    explicit Samples(std::int64_t count) : values_(static_cast<std::size_t>(count)) {}
    void add(std::int64_t ns) { values_[used_++] = ns; }
    std::int64_t percentile(int percent) const { return per_mille(10 * percent); }
    std::int64_t per_mille(int share) const;
    std::int64_t total() const;
    std::size_t size() const { return used_; }

 private:
    std::vector<std::int64_t> values_;
    std::size_t used_ = 0;
};

// What a program found out besides its times; numbers, in the order they are to be printed.
using Findings = std::vector<std::pair<std::string, std::uint64_t>>;

// {"ops": ..., "p50_ns": ..., ...} on standard output. cpu_total_ns: of both processes.
// ops_per_sample: where one operation is shorter than a look at the clock, a sample is of several;
// what is printed is of one.
void print_result(const Samples& samples, std::int64_t cpu_total_ns, const Findings& findings,
                  std::int64_t ops_per_sample = 1);

// {"peak_rss_bytes": ...}: what both processes had resident at the most.
void print_peak_memory(std::int64_t bytes);
// Of this process, since it was started (getrusage would count what it was forked from).
std::int64_t peak_memory_bytes();

}  // namespace bench
