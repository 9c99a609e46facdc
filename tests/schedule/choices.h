// schedule/choices.h: where a run's decisions come from: a seed, or an enumeration of all of them.
//
// SeededChoices has a manner of its own for each seed (how often it switches, whom it favours, whom
// it lets stand still for long), because each kind of bug has a manner that finds it soon.
// ExhaustiveChoices goes depth first through every decision; the same run again, but for its last
// decision that has another way left.
// Threads: one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_set>
#include <vector>

namespace ndshare::schedule {

class Choices {
 public:
    static constexpr std::size_t kNobody = ~std::size_t{0};

    virtual ~Choices() = default;
    // One of 0 .. count - 1. The first is the plain one, the others what a test wants to happen
    // too.
    virtual std::size_t pick(std::size_t count) = 0;
    // Whether something happens that mostly does not.
    virtual bool rarely() = 0;
    // Who goes on. ready: numbers of processes, never empty. current: kNobody when it cannot.
    virtual std::size_t next(std::span<const std::size_t> ready, std::size_t current) = 0;
    // Whom to kill before that: an index into victims, or kNobody.
    virtual std::size_t kill(std::span<const std::size_t> victims) = 0;
    // Exhaustive only: this state was seen before, whatever follows was or will be explored.
    virtual bool was_seen(std::uint64_t /*state*/) { return false; }
    virtual bool wants_states() const { return false; }
};

class Random {
 public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 1) {}
    std::uint64_t next();
    std::size_t below(std::size_t count) { return static_cast<std::size_t>(next() % count); }
    bool one_in(std::size_t count) { return below(count) == 0; }

 private:
    std::uint64_t state_;
};

class SeededChoices final : public Choices {
 public:
    explicit SeededChoices(std::uint64_t seed);
    std::size_t pick(std::size_t count) override;
    bool rarely() override { return random_.one_in(rare_); }
    std::size_t next(std::span<const std::size_t> ready, std::size_t current) override;
    std::size_t kill(std::span<const std::size_t> victims) override;

 private:
    static constexpr std::size_t kProcessesMax = 32;
    std::uint64_t weight_of(std::size_t process) const;
    Random random_;
    std::size_t rare_, stay_, kill_rate_, freeze_rate_;
    std::uint64_t step_ = 0;
    std::uint64_t weights_ = 0;
    std::uint64_t frozen_until_[kProcessesMax] = {};
};

class ExhaustiveChoices final : public Choices {
 public:
    // preemptions: how often a process that could go on may have to wait for another.
    explicit ExhaustiveChoices(int preemptions_max) : preemptions_max_(preemptions_max) {}
    std::size_t pick(std::size_t count) override { return decide(count); }
    bool rarely() override { return decide(2) == 1; }
    std::size_t next(std::span<const std::size_t> ready, std::size_t current) override;
    std::size_t kill(std::span<const std::size_t> victims) override;
    bool was_seen(std::uint64_t state) override;
    bool wants_states() const override { return true; }

    // Turns to the next run; false: there is none left.
    bool advance();
    std::size_t state_count() const { return seen_.size(); }

 private:
    struct Decision {
        std::uint32_t taken, count;
    };
    std::size_t decide(std::size_t count);
    int preemptions_max_, preemptions_ = 0;
    std::vector<Decision> path_;
    std::size_t at_ = 0;
    std::unordered_set<std::uint64_t> seen_;
};

}  // namespace ndshare::schedule
