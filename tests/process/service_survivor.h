// process/service_survivor.h: the one beside whom the fault walk's child works or asks.
#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "child_services.h"

namespace ndshare::test {

// A service with calls that wait, and later a worker that answers. The child is a worker or a
// client beside them.
class ServiceSurvivor {
 public:
    ServiceSurvivor(const char* name, bool works_at_once)
        : worker_(name, walk_inputs(), walk_outputs(), walk_options()), client_(name) {
        if (works_at_once) begin_to_work();
        for (std::uint64_t k = 0; k < 2; ++k) ask(100 + k);
    }
    ~ServiceSurvivor() {
        worker_.close();
        if (thread_.joinable()) thread_.join();
    }
    void begin_to_work() {
        if (thread_.joinable()) return;
        thread_ = std::thread([this] { worker_.run(answer, {.max_batch_size = 2}); });
    }
    // Those asked before, and new ones.
    void expect_all_answers() {
        begin_to_work();
        for (auto& [value, call] : asked_) expect_answer(call, value);
        asked_.clear();
        expect_new_answers();
    }
    void expect_new_answers() {
        begin_to_work();
        for (std::uint64_t value = 1000; value < 1012; ++value) {
            Call call = client_.loan(std::chrono::seconds(30));
            fill(call, value);
            call.submit();
            expect_answer(call, value);
        }
    }
    // Slots of the dead too.
    void expect_all_slots() {
        std::vector<Call> calls;
        for (int k = 0; k < 4; ++k) calls.push_back(client_.loan(std::chrono::seconds(30)));
    }

 private:
    void ask(std::uint64_t value) {
        Call call = client_.loan(std::chrono::seconds(30));
        fill(call, value);
        call.submit();
        asked_.emplace_back(value, std::move(call));
    }
    static void expect_answer(Call& call, std::uint64_t value) {
        const Outcome outcome = call.wait(std::chrono::seconds(60));
        ASSERT_EQ(outcome, Outcome::answered);
        EXPECT_TRUE(is_answer_to(call.result(), value)) << "another call's answer";
    }
    Worker worker_;
    Client client_;
    std::deque<std::pair<std::uint64_t, Call>> asked_;
    std::thread thread_;
};

}  // namespace ndshare::test
