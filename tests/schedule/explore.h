// schedule/explore.h: many runs of one setup. A promise holds when no run breaks it; a canary,
// which is the same setup with one thing broken, must be caught, else the explorer is blind to
// that.
//
// NDSHARE_SCHEDULE_SEED=n   only this seed, with every operation printed
// NDSHARE_SCHEDULE_RUNS=n   n times as many seeds; less than 1: fewer, but for canaries,
//                           and what is exhaustive cut short
// Sanitizer builds run a tenth of the seeds and cut what is exhaustive short: the interleavings are
// the same there.
// Threads: one.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>

#include "schedule/world.h"

namespace ndshare::schedule {

using Setup = std::function<void(World&)>;

struct Found {
    bool any = false;
    std::uint64_t seed = 0;
    std::uint64_t run_count = 0;
    std::string text;  // what, how to see it again, and the last operations
};
// Seeds 1 .. runs, until one breaks a promise.
Found explore(const Plan& plan, int runs, const Setup& setup);
// The same for canaries: in sanitizer builds as many seeds as elsewhere, the first hit ends it.
Found hunt(const Plan& plan, int runs, const Setup& setup);
// Every decision, up to so many preemptions. text: how much there was, when nothing was found.
Found explore_exhaustively(const Plan& plan, int preemptions_max, const Setup& setup);

testing::AssertionResult holds(const Found& found);
// Found, and for the right reason: the violation's text contains why.
testing::AssertionResult is_caught(const Found& found, std::string_view why);

}  // namespace ndshare::schedule
