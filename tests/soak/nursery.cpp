#include "nursery.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

namespace ndshare::soak {

Nursery::~Nursery() { end(); }

void Nursery::start(const std::string& python, const std::string& script,
                    const std::string& ledger) {
    int orders[2], answers[2];
    if (pipe2(orders, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0) {
        throw std::system_error(errno, std::generic_category(), "pipe");
    }
    pid_ = fork();
    if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(orders[0], 0);
        dup2(answers[1], 1);
        execl(python.c_str(), python.c_str(), "-B", script.c_str(), ledger.c_str(), nullptr);
        _exit(127);
    }
    close(orders[0]);
    close(answers[1]);
    to_ = orders[1];
    from_ = answers[0];
}

void Nursery::end() {
    if (pid_ == 0) return;
    close(to_);
    close(from_);
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
}

pid_t Nursery::bear(const std::string& role, std::size_t place, std::uint64_t id,
                    std::uint64_t seed) {
    const std::string order = role + " " + std::to_string(place) + " " + std::to_string(id) + " " +
                              std::to_string(seed) + "\n";
    if (write(to_, order.data(), order.size()) != static_cast<ssize_t>(order.size())) {
        throw std::runtime_error("the Python nursery is gone");
    }
    std::string answer;
    for (char byte = 0; byte != '\n'; answer += byte) {
        ssize_t got = 0;
        do {
            got = read(from_, &byte, 1);
        } while (got < 0 && errno == EINTR);
        if (got != 1) throw std::runtime_error("the Python nursery is gone");
    }
    return static_cast<pid_t>(std::stoi(answer));
}

}  // namespace ndshare::soak
