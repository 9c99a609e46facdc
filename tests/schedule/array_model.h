// schedule/array_model.h: writers and readers of one array, and what a test knows about them beyond
// the words they share: who is inside, which value each version has, whether a write was left.
//
// The array is kWords words that prove themselves: word k of value number id is id * kWords + k.
// Threads: one.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "schedule/sim_ground.h"
#include "sync/patience.h"
#include "sync/version.h"

namespace ndshare::schedule {

inline constexpr std::size_t kWords = 3;

struct Truth {
    World& world;
    std::map<std::uint64_t, std::uint64_t> value_of_version{{0, 0}};
    std::uint64_t value_count = 0;
    std::uint64_t finished_count = 0;
    const Process* inside = nullptr;
    std::uint64_t last_incomplete = 0, last_complete = 0;  // steps after which it was so
    bool trust_doubt = true;  // false: do not check whether "incomplete" was said with a cause

    explicit Truth(World& the_world) : world(the_world) {
        for (std::size_t k = 0; k < kWords; ++k) world.set_initial(world.payload(k), k);
    }
    // Odd, and nobody living inside, by the last values of both words.
    bool is_incomplete() const {
        const auto& words = world.control().words();
        return sync::is_odd(world.last(words.version)) &&
               !world.holder_lives(world.last(words.lock));
    }
    void look() {
        if (is_incomplete()) {
            last_incomplete = world.now();
        } else {
            last_complete = world.now();
        }
    }
    void enter(const Process& who) {
        if (inside != nullptr && inside->unfinished()) {
            world.violate("two processes are inside: " + std::to_string(inside->number) + " and " +
                          std::to_string(who.number));
        }
        inside = &who;
    }
    void leave(const Process& who) {
        if (inside != &who) world.violate("somebody else came in meanwhile");
        inside = nullptr;
    }
};

// One process's end of the array.
template <class Ground>
class Peer {
 public:
    Peer(World& world, Truth& truth, Process& who)
        : world_(world),
          truth_(truth),
          who_(who),
          ground_(world, who.row),
          version_(world.control().words(), ground_) {}

    layout::ControlWords& words() { return world_.control().words(); }
    sync::Version<Ground>& version() { return version_; }
    Ground& ground() { return ground_; }
    sync::Patience patient() { return {platform::kForeverNs, spin_}; }
    sync::Patience hasty() { return {0, spin_}; }

    // Called before each word of a copy.
    void stop_in_copies(std::function<void()> stop) { stop_ = std::move(stop); }

    // One complete write, or one that is given up in the middle.
    void write(bool give_up = false, int pauses_inside = 0) {
        auto patience = patient();
        world_.require(version_.lock(who_.owner, patience), "a lock without a timeout timed out");
        truth_.enter(who_);
        version_.begin();
        const std::uint64_t next = (world_.last(words().version) | 1) / 2 + 1;
        truth_.value_of_version[next] = ++truth_.value_count;
        put_value(truth_.value_count);
        for (int k = 0; k < pauses_inside; ++k) world_.pause();
        truth_.leave(who_);
        if (give_up) {
            version_.leave(who_.owner);
            return;
        }
        ++truth_.finished_count;
        world_.require(version_.finish(who_.owner) == next, "finish() says another version");
    }

    // Checks what it got; the copy is a word a step.
    sync::ReadOutcome read(sync::Patience&& patience, std::uint32_t nonce, std::uint64_t& version) {
        return read(patience, nonce, version);
    }
    sync::ReadOutcome read(sync::Patience& patience, std::uint32_t nonce, std::uint64_t& version) {
        std::array<std::uint64_t, kWords> words{};
        const auto copy = [&](auto progress) {
            for (std::size_t k = 0; k < kWords; ++k) {
                if (stop_) stop_();
                words[k] = ground_.load_relaxed(world_.payload(k));
                if (k + 1 < kWords && !progress()) return;
            }
        };
        const bool was_incomplete = truth_.is_incomplete();
        const std::uint64_t begin = world_.now();
        const auto outcome = version_.read(copy, patience, nonce, version);
        if (outcome == sync::ReadOutcome::consistent) check_value(words, version);
        if (outcome == sync::ReadOutcome::incomplete) {
            world_.require(was_incomplete || truth_.last_incomplete > begin || !truth_.trust_doubt,
                           "a reader says incomplete, and at no moment of its call was it so");
        }
        return outcome;
    }

 private:
    void put_value(std::uint64_t value) {
        for (std::size_t k = 0; k < kWords; ++k) {
            ground_.store_relaxed(world_.payload(k), value * kWords + k);
        }
    }
    void check_value(const std::array<std::uint64_t, kWords>& words, std::uint64_t version) {
        const std::uint64_t value = words[0] / kWords;
        for (std::size_t k = 0; k < kWords; ++k) {
            if (words[k] == value * kWords + k) continue;
            world_.violate("a torn copy was accepted: its words are of the values " +
                           std::to_string(value) + " and " + std::to_string(words[k] / kWords));
        }
        const auto found = truth_.value_of_version.find(version);
        if (found == truth_.value_of_version.end() || found->second != value) {
            world_.violate("value " + std::to_string(value) + " was read as version " +
                           std::to_string(version));
        }
    }

    World& world_;
    Truth& truth_;
    Process& who_;
    Ground ground_;
    sync::SpinBudget spin_{0};
    sync::Version<Ground> version_;
    std::function<void()> stop_;
};

// The truth of a run, looked at after every step; it lives as long as the run's processes.
inline std::shared_ptr<Truth> watch(World& world) {
    auto truth = std::make_shared<Truth>(world);
    world.after_each_step([truth] { truth->look(); });
    return truth;
}

}  // namespace ndshare::schedule
