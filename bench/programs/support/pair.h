// support/pair.h: two processes that measure together. One program is both: it forks before either
// side has touched the thing to be measured, so each side sets up its own end.
//
// The first measures and prints; the second holds, answers or writes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "support/options.h"
#include "support/samples.h"

namespace bench {

// Set by Ctrl-C, by the end of the other process and by the other's failure. Loops that could turn
// for ever ask it: throws then.
void check_interrupted();

class Side {
 public:
    const Options& options() const { return options_; }
    std::int64_t count() const { return count_; }
    // A multiple of the number of payloads, so that the first counted operation has the first one.
    std::int64_t warm_up() const { return warm_up_; }

    // Both have arrived. Throws when the other one is gone.
    void meet();
    // Keeps this process on its CPU of --cpus FIRST,SECOND. To be called after the warm-up: a
    // library that counts its CPUs at first use should see those of the machine.
    void pin();
    // CPU time from here ...
    void begin() { cpu_begin_ns_ = cpu_ns(); }
    // ... to here. Both sides call it; then the first knows the sum.
    void end();
    std::int64_t cpu_of_both_ns() const { return cpu_own_ns_ + cpu_other_ns_; }

    // Made before the fork, zeros: memory of both.
    std::byte* shared() const { return shared_; }
    // Unique to this run, for whatever needs a name.
    std::string name(const std::string& word) const;

 private:
    friend int run_pair(int, char**, std::vector<std::string>, std::size_t,
                        const std::function<void(Side&)>&, const std::function<void(Side&)>&);
    explicit Side(const Options& options)
        : options_(options),
          count_(options.number("--count", 10'000)),
          warm_up_(options.number("--warm-up", 640)) {}
    void send(std::int64_t value) const;
    std::int64_t receive() const;

    const Options& options_;
    const std::int64_t count_, warm_up_;
    int index_ = 0, read_end_ = -1, write_end_ = -1;
    long first_pid_ = 0;
    std::byte* shared_ = nullptr;
    std::int64_t cpu_begin_ns_ = 0, cpu_own_ns_ = 0, cpu_other_ns_ = 0;
};

// Runs both and returns what main() should; errors go to standard error. options: those beside
// --count, --warm-up and --cpus.
int run_pair(int argc, char** argv, std::vector<std::string> options, std::size_t shared_bytes,
             const std::function<void(Side&)>& first, const std::function<void(Side&)>& second);

}  // namespace bench
