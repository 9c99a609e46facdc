#include "support/samples.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <string>

namespace bench {

// One in a thousand is not known from fewer.
constexpr std::size_t kSamplesOfP999 = 1000;

std::int64_t cpu_ns() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto ns = [](const timeval& time) {
        return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_usec * 1'000;
    };
    return ns(usage.ru_utime) + ns(usage.ru_stime);
}

std::int64_t Samples::per_mille(int share) const {
    if (used_ == 0) return 0;
    std::vector<std::int64_t> sorted(values_.begin(),
                                     values_.begin() + static_cast<std::ptrdiff_t>(used_));
    const auto at =
        static_cast<std::ptrdiff_t>((used_ - 1) * static_cast<std::size_t>(share)) / 1000;
    std::nth_element(sorted.begin(), sorted.begin() + at, sorted.end());
    return sorted[static_cast<std::size_t>(at)];
}

std::int64_t Samples::total() const {
    return std::accumulate(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(used_),
                           std::int64_t{0});
}

std::int64_t peak_memory_bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
    }
    return 0;
}

void print_peak_memory(std::int64_t bytes) {
    std::printf("{\"peak_rss_bytes\": %lld}\n", static_cast<long long>(bytes));
}

void print_result(const Samples& samples, std::int64_t cpu_total_ns, const Findings& findings,
                  std::int64_t ops_per_sample) {
    const auto ops = static_cast<std::int64_t>(samples.size()) * ops_per_sample;
    const auto of_one = [](std::int64_t ns, std::int64_t count) {
        return static_cast<double>(ns) / static_cast<double>(std::max<std::int64_t>(count, 1));
    };
    const double mean_ns = of_one(samples.total(), ops);
    std::printf(
        "{\"ops\": %lld, \"p50_ns\": %.1f, \"p99_ns\": %.1f, \"mean_ns\": %.1f, "
        "\"cpu_ns_per_op\": %.1f, \"per_second\": %.1f",
        static_cast<long long>(ops), of_one(samples.percentile(50), ops_per_sample),
        of_one(samples.percentile(99), ops_per_sample), mean_ns, of_one(cpu_total_ns, ops),
        1e9 / std::max(mean_ns, 0.001));
    if (samples.size() >= kSamplesOfP999) {
        std::printf(", \"p999_ns\": %.1f", of_one(samples.per_mille(999), ops_per_sample));
    }
    for (const auto& [word, value] : findings) {
        std::printf(", \"%s\": %llu", word.c_str(), static_cast<unsigned long long>(value));
    }
    std::printf("}\n");
}

}  // namespace bench
