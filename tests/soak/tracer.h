// soak/tracer.h: a child that is led to one of its instructions and killed there (ptrace, x86-64).
//
// The child says where its operation begins and ends by begin_of_steps() and end_of_steps(). The
// first run counts: one step at a time, and notes the address of each instruction. Later runs go
// to instruction k by a breakpoint at the last address before k that had not come before, and by
// single steps from there.
// Threads: one, which has the process's alarm(2). Processes: parent of the child. Blocks:
// kHangSeconds at most.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace ndshare::soak {

extern "C" void begin_of_steps();
extern "C" void end_of_steps();

using Steps = std::vector<std::uint64_t>;  // addresses, in order

class Traced {
 public:
    static constexpr unsigned kHangSeconds = 120;  // from its beginning

    // body calls both marks; it has the process to itself. Throws std::runtime_error when the
    // child does not come to its first mark.
    explicit Traced(const std::function<void()>& body);
    // Kills it, and its group.
    ~Traced();
    Traced(const Traced&) = delete;

    // To the second mark. Throws std::runtime_error: it hangs, or ended.
    Steps count();
    // To before the k-th instruction, or to the second mark where that comes first: false.
    bool go_to(const Steps& steps, std::size_t k);
    // kill -9, and until the kernel has finished its exit.
    void kill_here();

 private:
    std::uint64_t address() const;
    void set_address(std::uint64_t address);
    // false: the operation is over.
    bool run_to(std::uint64_t address);
    bool step();
    void wait_for_trap(bool steps, const char* what);

    pid_t pid_ = 0;
    bool is_over_ = false;
};

}  // namespace ndshare::soak
