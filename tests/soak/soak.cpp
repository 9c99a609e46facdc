// The crash campaign: arrays, streams and services under load, in processes that are killed,
// stopped, continued and started at random. tests/soak/soak.py shows what it prints.
// Usage: ndshare_soak [seconds=60] [seed=1] [mean_ms=24] [decisions=N]
//                     [stuck_seconds=45] [canary=NAME] [python=FILE python_load=FILE]
// Exit code: 0 nothing was found, 1 something was (it is in the last line), 2 usage.
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <string>

#include "campaign.h"

int main(int argc, char** argv) {
    ndshare::soak::Plan plan;
    const std::map<std::string, std::function<void(const std::string&)>> options{
        {"seconds", [&](const std::string& text) { plan.seconds = std::stod(text); }},
        {"seed", [&](const std::string& text) { plan.seed = std::stoull(text); }},
        {"mean_ms", [&](const std::string& text) { plan.mean_ms = std::stod(text); }},
        {"decisions", [&](const std::string& text) { plan.decisions = std::stoull(text); }},
        {"stuck_seconds", [&](const std::string& text) { plan.stuck_seconds = std::stod(text); }},
        {"canary", [&](const std::string& text) { plan.canary = text; }},
        {"python", [&](const std::string& text) { plan.python = text; }},
        {"python_load", [&](const std::string& text) { plan.python_load = text; }},
    };
    try {
        for (int k = 1; k < argc; ++k) {
            const std::string word = argv[k];
            const auto equals = word.find('=');
            if (equals == std::string::npos || !options.contains(word.substr(0, equals))) {
                std::fprintf(stderr, "%s is no option; they are:\n", argv[k]);
                for (const auto& [name, set] : options) {
                    std::fprintf(stderr, "  %s=\n", name.c_str());
                }
                return 2;
            }
            options.at(word.substr(0, equals))(word.substr(equals + 1));
        }
        ndshare::soak::end_on_signals();
        ndshare::soak::Campaign campaign(plan);
        return campaign.run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
}
