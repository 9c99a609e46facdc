#include "support/pair.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <system_error>

namespace bench {
namespace {

volatile std::sig_atomic_t g_signal = 0;

// Without SA_RESTART: a sleeping system call comes back and its loop asks check_interrupted().
void listen(int signal) {
    struct sigaction action{};
    action.sa_handler = [](int number) { g_signal = number; };
    sigaction(signal, &action, nullptr);
}

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

int run_side(Side& side, const std::function<void(Side&)>& body) {
    try {
        body(side);
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}

}  // namespace

void check_interrupted() {
    if (g_signal != 0) throw std::runtime_error("interrupted, or the other process ended");
}

void Side::send(std::int64_t value) const {
    if (write(write_end_, &value, sizeof value) != sizeof value) fail("write to the other process");
}

std::int64_t Side::receive() const {
    std::int64_t value = 0;
    ssize_t bytes = 0;
    // The other's end is a signal too: what it sent before is still to be read.
    while ((bytes = read(read_end_, &value, sizeof value)) < 0 && errno == EINTR) {
        if (g_signal == SIGINT || g_signal == SIGTERM) check_interrupted();
    }
    if (bytes == 0) throw std::runtime_error("the other process is gone");
    if (bytes != sizeof value) fail("read from the other process");
    return value;
}

void Side::meet() {
    send(0);
    (void)receive();
}

void Side::pin() {
    const std::string cpus = options_.text("--cpus", "");
    if (cpus.empty()) return;
    const auto comma = cpus.find(',');
    if (comma == std::string::npos) throw std::invalid_argument("--cpus takes FIRST,SECOND");
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(
                std::stoul(index_ == 0 ? cpus.substr(0, comma) : cpus.substr(comma + 1))),
            &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) fail("sched_setaffinity");
}

void Side::end() {
    cpu_own_ns_ = cpu_ns() - cpu_begin_ns_;
    send(cpu_own_ns_);
    cpu_other_ns_ = receive();
}

std::string Side::name(const std::string& word) const {
    return "bench-" + std::to_string(first_pid_) + "-" + word;
}

int run_pair(int argc, char** argv, std::vector<std::string> known, std::size_t shared_bytes,
             const std::function<void(Side&)>& first, const std::function<void(Side&)>& second) {
    try {
        known.insert(known.end(), {"--count", "--warm-up", "--cpus"});
        const Options options(argc, argv, known);
        Side side(options);
        side.first_pid_ = getpid();
        if (shared_bytes > 0) {
            void* memory = mmap(nullptr, shared_bytes, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
            if (memory == MAP_FAILED) fail("mmap");
            side.shared_ = static_cast<std::byte*>(memory);
        }
        int to_second[2], to_first[2];
        if (pipe(to_second) != 0 || pipe(to_first) != 0) fail("pipe");
        for (const int signal : {SIGINT, SIGTERM, SIGCHLD}) listen(signal);
        const pid_t child = fork();
        if (child < 0) fail("fork");
        const bool is_first = child > 0;
        side.index_ = is_first ? 0 : 1;
        side.read_end_ = is_first ? to_first[0] : to_second[0];
        side.write_end_ = is_first ? to_second[1] : to_first[1];
        close(is_first ? to_second[0] : to_first[0]);
        close(is_first ? to_first[1] : to_second[1]);
        std::signal(SIGPIPE, SIG_IGN);
        if (!is_first) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            if (getppid() != side.first_pid_) return 1;
            return run_side(side, [&](Side& own) {
                second(own);
                own.send(peak_memory_bytes());
            });
        }
        std::int64_t peak_bytes = 0;
        const int result = run_side(side, [&](Side& own) {
            first(own);
            peak_bytes = peak_memory_bytes() + own.receive();
        });
        if (result != 0) kill(child, SIGTERM);
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        if (result != 0 || status != 0) return 1;
        print_peak_memory(peak_bytes);
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}

}  // namespace bench
