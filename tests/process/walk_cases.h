// process/walk_cases.h: the points of a scenario, each once for each of its first passes.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

namespace ndshare::test {

struct Case {
    std::string point;
    int pass;
};

inline std::vector<Case> cases_of(const std::vector<std::string>& trace, int passes_max) {
    // Sanitizers make each run slow, and see the same at a second pass.
    if (const char* limit = std::getenv("NDSHARE_WALK_PASSES")) {
        passes_max = std::min(passes_max, std::max(1, std::atoi(limit)));
    }
    std::map<std::string, int> passes;
    std::vector<Case> cases;
    for (const auto& point : trace) {
        if (++passes[point] <= passes_max) cases.push_back({point, passes[point]});
    }
    return cases;
}

}  // namespace ndshare::test
