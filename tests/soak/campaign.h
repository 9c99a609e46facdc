// soak/campaign.h: decides who is killed, stopped, continued and started, and when; watches that
// everybody goes on; at the end looks for what is left.
// Every decision comes from the seed alone, so the same seed makes the same sequence.
// Threads: one. Processes: forks all others.
#pragma once
#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "ledger.h"
#include "nursery.h"

namespace ndshare::soak {

struct Plan {
    double seconds = 60;
    std::uint64_t seed = 1;
    double mean_ms = 24;                          // from one decision to the next
    std::uint64_t decisions = ~std::uint64_t{0};  // ends after so many, too
    double stuck_seconds = 45;                    // without a sign of life: hung
    std::string canary;                           // what one child does wrong
    std::string python;       // an interpreter that has the package; empty: no Python children
    std::string python_load;  // python_load.py
};

class Campaign {
 public:
    explicit Campaign(const Plan& plan);
    ~Campaign();
    Campaign(const Campaign&) = delete;
    // Prints progress and, at the end, what was done, as JSON lines. The exit code.
    int run();

 private:
    using Clock = std::chrono::steady_clock;
    struct Child {
        pid_t pid = 0;
        bool is_stopped = false;
        bool is_killed = false;
        std::size_t doing = 0;  // when it was killed
        int ticks_to_continue = 0;
        std::uint64_t beats = 0;
        Clock::time_point beat_at{};
    };

    void start_survivor();
    void start_auditor();
    void start(std::size_t place);
    void decide();
    void kill_child(std::size_t place);
    void stop_child(std::size_t place, int ticks);
    void continue_child(std::size_t place);
    // Takes up who ended. Complains about who ended in another way than he should.
    void reap();
    void ended(std::size_t place, int status);
    void watch();
    void complain(const std::string& what);
    void end_all();
    void look_for_remains();
    void print_progress() const;
    void print_end() const;
    std::size_t role_of(std::size_t place) const;
    bool is_canary(std::size_t place) const;
    std::string who(std::size_t place) const;
    std::uint64_t draw(std::uint64_t end);

    Plan plan_;
    std::string folder_, name_space_;
    Ledger* ledger_ = nullptr;
    std::mt19937_64 random_;
    std::uint64_t digest_ = 0;  // of the decisions so far
    std::uint64_t decisions_ = 0, next_id_ = 1;
    std::vector<Child> children_;
    Nursery nursery_;
    pid_t survivor_ = 0, auditor_ = 0;
    bool is_over_ = false;
    Clock::time_point began_;
    // What was tried: role by what it was doing.
    std::map<std::string, std::array<std::uint64_t, kDoings>> kills_;
    std::uint64_t kill_count_ = 0, stops_ = 0, continues_ = 0, starts_ = 0, left_ = 0;
    std::uint64_t killed_stopped_ = 0, massacres_ = 0;
    std::vector<std::string> complaints_;
};

// Set by SIGINT and SIGTERM: the campaign comes to its end as if its time were over.
void end_on_signals();

}  // namespace ndshare::soak
