#include "schedule/choices.h"

#include <algorithm>

namespace ndshare::schedule {

std::uint64_t Random::next() {
    // splitmix64 (Steele, Lea, Flood 2014).
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

// ---- a seed -------------------------------------------------------------------------------------

SeededChoices::SeededChoices(std::uint64_t seed) : random_(seed) {
    static constexpr std::size_t kStay[] = {1, 1, 2, 4, 12};
    static constexpr std::size_t kRare[] = {3, 8, 30};
    static constexpr std::size_t kKill[] = {15, 40, 120};
    static constexpr std::size_t kFreeze[] = {12, 40, 150, 1'000'000};
    stay_ = kStay[random_.below(std::size(kStay))];
    rare_ = kRare[random_.below(std::size(kRare))];
    kill_rate_ = kKill[random_.below(std::size(kKill))];
    freeze_rate_ = kFreeze[random_.below(std::size(kFreeze))];
    weights_ = random_.one_in(2) ? random_.next() : 0;
}

std::size_t SeededChoices::pick(std::size_t count) {
    return random_.one_in(3) ? random_.below(count) : 0;
}

std::uint64_t SeededChoices::weight_of(std::size_t process) const {
    return std::uint64_t{1} << (2 * ((weights_ >> (2 * (process % kProcessesMax))) & 3));
}

std::size_t SeededChoices::next(std::span<const std::size_t> ready, std::size_t current) {
    ++step_;
    if (current != kNobody && random_.one_in(freeze_rate_)) {
        frozen_until_[current % kProcessesMax] = step_ + 10 + random_.below(200);
        current = kNobody;
    }
    if (current != kNobody && !random_.one_in(stay_)) return current;
    std::uint64_t total = 0;
    const auto frozen = [&](std::size_t p) { return frozen_until_[p % kProcessesMax] > step_; };
    const bool all_frozen = std::all_of(ready.begin(), ready.end(), frozen);
    for (const std::size_t p : ready) total += all_frozen || !frozen(p) ? weight_of(p) : 0;
    std::uint64_t at = random_.next() % total;
    for (const std::size_t p : ready) {
        const std::uint64_t weight = all_frozen || !frozen(p) ? weight_of(p) : 0;
        if (at < weight) return p;
        at -= weight;
    }
    return ready.back();
}

std::size_t SeededChoices::kill(std::span<const std::size_t> victims) {
    return random_.one_in(kill_rate_) ? random_.below(victims.size()) : kNobody;
}

// ---- all of them --------------------------------------------------------------------------------

std::size_t ExhaustiveChoices::decide(std::size_t count) {
    if (count <= 1) return 0;
    if (at_ == path_.size()) path_.push_back({0, static_cast<std::uint32_t>(count)});
    return path_[at_++].taken;
}

std::size_t ExhaustiveChoices::next(std::span<const std::size_t> ready, std::size_t current) {
    if (current == kNobody) return ready[decide(ready.size())];
    if (preemptions_ >= preemptions_max_) return current;
    const auto taken = decide(ready.size());
    if (taken == 0) return current;
    ++preemptions_;
    // The others in their order.
    std::size_t left = taken;
    for (const std::size_t p : ready) {
        if (p != current && --left == 0) return p;
    }
    return current;
}

std::size_t ExhaustiveChoices::kill(std::span<const std::size_t> victims) {
    const auto taken = decide(victims.size() + 1);
    return taken == 0 ? kNobody : taken - 1;
}

bool ExhaustiveChoices::was_seen(std::uint64_t state) {
    // Only where the path goes on into the new: what lies on it was entered by its first visitor.
    if (at_ < path_.size()) return false;
    return !seen_.insert(state ^ (static_cast<std::uint64_t>(preemptions_) << 56)).second;
}

bool ExhaustiveChoices::advance() {
    while (!path_.empty() && path_.back().taken + 1 == path_.back().count) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().taken;
    at_ = 0;
    preemptions_ = 0;
    return true;
}

}  // namespace ndshare::schedule
