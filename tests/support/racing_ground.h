// support/racing_ground.h: a plain ground on which something happens just before an exchange that
// compares, as if another process had been quicker. Threads: one.
#pragma once
#include <functional>
#include <utility>

#include "support/plain_ground.h"

namespace ndshare::support {

struct RacingGround : PlainGround {
    // Before the number'th from now on (1: the next), once.
    void before_exchange(int number, std::function<void()> what) {
        left_ = number;
        what_ = std::move(what);
    }
    bool compare_exchange(auto& word, auto& expected, auto desired) {
        if (left_ > 0 && --left_ == 0) what_();
        return PlainGround::compare_exchange(word, expected, desired);
    }

 private:
    int left_ = 0;
    std::function<void()> what_;
};

}  // namespace ndshare::support
