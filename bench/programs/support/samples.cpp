#include "support/samples.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace bench {

std::int64_t cpu_ns() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto ns = [](const timeval& time) {
        return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_usec * 1'000;
    };
    return ns(usage.ru_utime) + ns(usage.ru_stime);
}

std::int64_t Samples::percentile(int percent) const {
    if (used_ == 0) return 0;
    std::vector<std::int64_t> sorted(values_.begin(),
                                     values_.begin() + static_cast<std::ptrdiff_t>(used_));
    const auto at =
        static_cast<std::ptrdiff_t>((used_ - 1) * static_cast<std::size_t>(percent)) / 100;
    std::nth_element(sorted.begin(), sorted.begin() + at, sorted.end());
    return sorted[static_cast<std::size_t>(at)];
}

std::int64_t Samples::total() const {
    return std::accumulate(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(used_),
                           std::int64_t{0});
}

void print_result(const Samples& samples, std::int64_t cpu_total_ns, const Findings& findings) {
    const auto ops = static_cast<std::int64_t>(samples.size());
    std::printf(
        "{\"ops\": %lld, \"p50_ns\": %lld, \"p99_ns\": %lld, \"mean_ns\": %lld, "
        "\"cpu_ns_per_op\": %lld",
        static_cast<long long>(ops), static_cast<long long>(samples.percentile(50)),
        static_cast<long long>(samples.percentile(99)),
        static_cast<long long>(samples.total() / std::max<std::int64_t>(ops, 1)),
        static_cast<long long>(cpu_total_ns / std::max<std::int64_t>(ops, 1)));
    for (const auto& [word, value] : findings) {
        std::printf(", \"%s\": %llu", word.c_str(), static_cast<unsigned long long>(value));
    }
    std::printf("}\n");
}

}  // namespace bench
