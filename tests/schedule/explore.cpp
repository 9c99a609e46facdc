#include "schedule/explore.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>

namespace ndshare::schedule {
namespace {

constexpr std::size_t kTraceLines = 80;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kShare = 0.1;
#else
constexpr double kShare = 1;
#endif
constexpr std::uint64_t kExhaustiveRunsOfShare = 5000;

std::optional<std::uint64_t> number_from(const char* variable) {
    const char* text = std::getenv(variable);
    if (text == nullptr || *text == '\0') return std::nullopt;
    return std::strtoull(text, nullptr, 10);
}

double wanted_share() {
    const char* text = std::getenv("NDSHARE_SCHEDULE_RUNS");
    return text == nullptr || *text == '\0' ? 1 : std::strtod(text, nullptr);
}

// One for all: its stacks are used again.
World& world() {
    static World the_world;
    return the_world;
}

const char* explain(Verdict verdict) {
    switch (verdict) {
        case Verdict::violated:
            return "a promise is broken";
        case Verdict::endless:
            return "it does not end";
        case Verdict::everybody_sleeps:
            return "everybody sleeps and nobody is left to wake them";
        case Verdict::good:
        case Verdict::cut:
            break;
    }
    return "nothing found";
}

bool is_bad(Verdict verdict) { return verdict != Verdict::good && verdict != Verdict::cut; }

std::string describe(Verdict verdict, const std::string& how) {
    std::string text = explain(verdict);
    if (!world().violation().empty()) text += ": " + world().violation();
    return text + "\n" + how + "\n" + world().trace(kTraceLines);
}

// Seeds 1 .. runs.
Found search(const Plan& plan, double runs, const Setup& setup) {
    const auto only = number_from("NDSHARE_SCHEDULE_SEED");
    const auto last = static_cast<std::uint64_t>(std::max(runs, 1.0));
    Found found;
    for (std::uint64_t seed = only.value_or(1); seed <= only.value_or(last); ++seed) {
        SeededChoices choices(seed);
        ++found.run_count;
        if (only) {
            const Verdict verdict = world().run(plan, choices, setup, true);
            std::printf("%s\n%s", explain(verdict), world().trace(plan.steps_max).c_str());
        }
        SeededChoices same(seed);
        if (!is_bad(world().run(plan, same, setup, false))) continue;
        SeededChoices again(seed);
        const Verdict verdict = world().run(plan, again, setup, true);
        found.any = true;
        found.seed = seed;
        found.text = describe(
            verdict, "seed " + std::to_string(seed) +
                         "; see it again with NDSHARE_SCHEDULE_SEED=" + std::to_string(seed));
        break;
    }
    return found;
}

}  // namespace

Found explore(const Plan& plan, int runs, const Setup& setup) {
    return search(plan, runs * wanted_share() * kShare, setup);
}

Found hunt(const Plan& plan, int runs, const Setup& setup) {
    return search(plan, runs * std::max(wanted_share(), 1.0), setup);
}

Found explore_exhaustively(const Plan& plan, int preemptions_max, const Setup& setup) {
    ExhaustiveChoices choices(preemptions_max);
    const bool in_part = wanted_share() * kShare < 1;
    const std::uint64_t runs_max = in_part ? kExhaustiveRunsOfShare : ~std::uint64_t{0};
    Found found;
    do {
        ++found.run_count;
        const Verdict verdict = world().run(plan, choices, setup, true);
        if (!is_bad(verdict)) continue;
        found.any = true;
        found.text = describe(
            verdict, "run " + std::to_string(found.run_count) + " of an exhaustive exploration");
        return found;
    } while (found.run_count < runs_max && choices.advance());
    found.text = std::to_string(found.run_count) + " runs, " +
                 std::to_string(choices.state_count()) + " states";
    return found;
}

testing::AssertionResult holds(const Found& found) {
    if (!found.any) return testing::AssertionSuccess();
    return testing::AssertionFailure() << found.text;
}

testing::AssertionResult is_caught(const Found& found, std::string_view why) {
    if (!found.any) {
        return testing::AssertionFailure()
               << "a planted fault was not found in " << found.run_count << " runs";
    }
    if (found.text.find(why) == std::string::npos) {
        return testing::AssertionFailure() << "not the planted fault but: " << found.text;
    }
    testing::Test::RecordProperty("caught_after_runs", std::to_string(found.run_count));
    return testing::AssertionSuccess();
}

}  // namespace ndshare::schedule
