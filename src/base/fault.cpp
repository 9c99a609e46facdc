#include "base/fault.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/check.h"

namespace ndshare {
namespace {

struct Plan {
    std::string point, action, trace;
    int count = 1;
    std::atomic<int> passed{0};

    Plan() {
        if (const char* file = std::getenv("NDSHARE_FAULT_TRACE")) trace = file;
        const char* text = std::getenv("NDSHARE_FAULT");
        if (text == nullptr) return;
        const std::string all = text;
        const auto first = all.find(':');
        const auto second = all.find(':', first + 1);
        point = all.substr(0, first);
        action = all.substr(first + 1, second - first - 1);
        if (second != std::string::npos)
            count = static_cast<int>(std::strtol(all.c_str() + second + 1, nullptr, 10));
    }
};

// True when this pass must fail.
bool pass(const char* point) noexcept {
    static Plan plan;
    if (!plan.trace.empty()) {
        if (std::FILE* file = std::fopen(plan.trace.c_str(), "a")) {
            std::fprintf(file, "%s\n", point);
            std::fclose(file);
        }
    }
    if (plan.point != point) return false;
    if (plan.passed.fetch_add(1) + 1 != plan.count) return false;
    if (plan.action == "kill") std::raise(SIGKILL);
    if (plan.action == "stop") std::raise(SIGSTOP);
    return plan.action == "fail";
}

}  // namespace

void fault_point(const char* point) {
    if (pass(point)) throw SystemError(EIO, std::string("fault at ") + point);
}

void fault_point_quiet(const char* point) noexcept { (void)pass(point); }

}  // namespace ndshare
