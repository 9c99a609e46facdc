#include "base/fault.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <sstream>
#include <string>

#include "base/check.h"

namespace ndshare {
namespace {

struct Plan {
    std::string point, action;
    int count = 1;
    std::atomic<int> passed{0};

    explicit Plan(const std::string& all) {
        const auto first = all.find(':');
        const auto second = all.find(':', first + 1);
        point = all.substr(0, first);
        action = all.substr(first + 1, second - first - 1);
        if (second != std::string::npos)
            count = static_cast<int>(std::strtol(all.c_str() + second + 1, nullptr, 10));
    }
};

struct Plans {
    std::deque<Plan> all;
    std::string trace;

    Plans() {
        if (const char* file = std::getenv("NDSHARE_FAULT_TRACE")) trace = file;
        const char* text = std::getenv("NDSHARE_FAULT");
        std::istringstream in(text == nullptr ? "" : text);
        for (std::string one; std::getline(in, one, ',');) all.emplace_back(one);
    }
};

// True when this pass must fail.
bool pass(const char* point) noexcept {
    static Plans plans;
    if (!plans.trace.empty()) {
        if (std::FILE* file = std::fopen(plans.trace.c_str(), "a")) {
            std::fprintf(file, "%s\n", point);
            std::fclose(file);
        }
    }
    bool fails = false;
    for (Plan& plan : plans.all) {
        if (plan.point != point || plan.passed.fetch_add(1) + 1 != plan.count) continue;
        if (plan.action == "kill") std::raise(SIGKILL);
        if (plan.action == "stop") std::raise(SIGSTOP);
        fails |= plan.action == "fail";
    }
    return fails;
}

}  // namespace

void fault_point(const char* point) {
    if (pass(point)) throw SystemError(EIO, std::string("fault at ") + point);
}

void fault_point_quiet(const char* point) noexcept { (void)pass(point); }

}  // namespace ndshare
