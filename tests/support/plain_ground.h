// support/plain_ground.h: a ground for one thread's tests of the verbs of src/sync: everybody lives
// but those who are said to be dead, sleeps and wakes are noted, and a hook may stand in for what
// others do meanwhile. Threads: one.
#pragma once
#include <algorithm>
#include <functional>
#include <set>
#include <vector>

#include "sync/atomics.h"

namespace ndshare::support {

struct PlainGround : sync::Atomics {
    std::set<std::uint64_t> dead;
    std::vector<const void*> woken;
    std::vector<std::int64_t> slept_ns;
    std::function<void()> meanwhile = [] {}, when_asked = [] {};
    mutable int asked = 0;

    bool owner_is_alive(std::uint64_t owner) const {
        ++asked;
        when_asked();
        return !dead.contains(owner);
    }
    void sleep(const auto&, std::uint32_t, std::int64_t ns) {
        slept_ns.push_back(ns);
        meanwhile();
    }
    void wake_all(auto& word) { woken.push_back(&word); }
    void wake_one(auto& word) { woken.push_back(&word); }
    // Since it was asked for this word last.
    bool woke(const void* word) { return std::erase(woken, word) > 0; }
};

}  // namespace ndshare::support
