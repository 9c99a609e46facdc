#include "tracer.h"

#include <signal.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <unordered_map>

#ifndef __x86_64__
#error "steps need x86-64: breakpoints and the program counter are the processor's own"
#endif

namespace ndshare::soak {

extern "C" [[gnu::noinline]] void begin_of_steps() { asm volatile("int3" ::: "memory"); }
extern "C" [[gnu::noinline]] void end_of_steps() { asm volatile("int3" ::: "memory"); }

namespace {

std::uint64_t end_address() { return reinterpret_cast<std::uint64_t>(&end_of_steps); }

// The kernel's own code in every process (vdso(7)) takes no breakpoints.
bool takes_breakpoints(std::uint64_t address) {
    static const std::uint64_t vdso = getauxval(AT_SYSINFO_EHDR);
    constexpr std::uint64_t pages = 16 * 4096;
    return address < vdso || address >= vdso + pages;
}

}  // namespace

Traced::Traced(const std::function<void()>& body) {
    static const bool hears_alarms = [] {
        struct sigaction action{};
        action.sa_handler = [](int) {};  // without SA_RESTART: ends waitpid
        return sigaction(SIGALRM, &action, nullptr) == 0;
    }();
    if (!hears_alarms) throw std::runtime_error("sigaction");
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ == 0) {
        setpgid(0, 0);
        ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        try {
            body();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "the victim: %s\n", error.what());
            _exit(5);
        }
        _exit(0);
    }
    setpgid(pid_, pid_);
    alarm(kHangSeconds);
    wait_for_trap(false, "before its operation");
    ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL);
}

Traced::~Traced() {
    alarm(0);
    kill_here();
    kill(-pid_, SIGKILL);  // its group: what it forked
}

void Traced::kill_here() {
    if (pid_ == 0 || is_over_) return;
    kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) == pid_ && !WIFSIGNALED(status) && !WIFEXITED(status)) {
    }
    is_over_ = true;
}

void Traced::wait_for_trap(bool steps, const char* what) {
    for (;;) {
        int status = 0;
        const pid_t got = waitpid(pid_, &status, 0);
        const int error = errno;
        if (got < 0 && error == EINTR) {
            throw std::runtime_error(std::string("hung: the victim, ") + what);
        }
        if (got == pid_ && WIFSTOPPED(status)) {
            if (WSTOPSIG(status) == SIGTRAP) return;
            // A signal of its own, as of a child's end.
            ptrace(steps ? PTRACE_SINGLESTEP : PTRACE_CONT, pid_, nullptr, WSTOPSIG(status));
            continue;
        }
        is_over_ = got == pid_;
        throw std::runtime_error(std::string("the victim ended ") + what + ", status " +
                                 std::to_string(status));
    }
}

std::uint64_t Traced::address() const {
    return static_cast<std::uint64_t>(
        ptrace(PTRACE_PEEKUSER, pid_, offsetof(user_regs_struct, rip), nullptr));
}

void Traced::set_address(std::uint64_t address) {
    ptrace(PTRACE_POKEUSER, pid_, offsetof(user_regs_struct, rip), address);
}

bool Traced::step() {
    if (address() == end_address()) return false;
    ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
    wait_for_trap(true, "at a step");
    return true;
}

Steps Traced::count() {
    Steps steps;
    do {
        steps.push_back(address());
    } while (step());
    steps.pop_back();
    return steps;
}

bool Traced::run_to(std::uint64_t address) {
    const auto place = address;
    errno = 0;
    const long code = ptrace(PTRACE_PEEKTEXT, pid_, place, nullptr);
    if (errno != 0) throw std::runtime_error("no code at a step's address");
    const long trap = (code & ~0xffL) | 0xcc;
    ptrace(PTRACE_POKETEXT, pid_, place, trap);
    ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
    wait_for_trap(false, "on its way");
    ptrace(PTRACE_POKETEXT, pid_, place, code);
    if (this->address() != address + 1) return false;  // the second mark's trap
    set_address(address);
    return true;
}

bool Traced::go_to(const Steps& steps, std::size_t k) {
    // For one operation after the other: the same steps are asked for again and again.
    static const std::uint64_t* known = nullptr;
    static std::vector<std::size_t>
        last_fresh;  // before k: the last address seen for the first time
    if (known != steps.data()) {
        known = steps.data();
        std::unordered_map<std::uint64_t, std::size_t> first;
        last_fresh.assign(steps.size(), 0);
        std::size_t last = 0;
        for (std::size_t j = 0; j < steps.size(); ++j) {
            if (first.try_emplace(steps[j], j).second && takes_breakpoints(steps[j])) last = j;
            last_fresh[j] = last;
        }
    }
    const std::size_t fresh = last_fresh[k];
    if (fresh > 0 && !run_to(steps[fresh])) return false;
    for (std::size_t j = fresh; j < k; ++j) {
        if (!step()) return false;
    }
    return true;
}

}  // namespace ndshare::soak
