#include "fault_world.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

extern char** environ;

namespace ndshare::test {
namespace fs = std::filesystem;

FaultWorld::FaultWorld() {
    const char* root = std::getenv("NDSHARE_TEST_ROOT");
    std::string pattern = std::string(root ? root : "/dev/shm") + "/ndshare-test-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    setenv("NDSHARE_DIR", folder_.c_str(), 1);
    unsetenv("NDSHARE_ROOT");
    unsetenv("NDSHARE_NAMESPACE");
}

FaultWorld::~FaultWorld() {
    testing::Test::RecordProperty("faults", faults_);  // for docs/GUARANTEES.md
    fs::remove_all(folder_);
    unsetenv("NDSHARE_DIR");
}

FaultWorld::Ended FaultWorld::run(const std::string& scenario, const std::string& name,
                                  const std::string& fault) {
    std::vector<std::string> variables{"NDSHARE_FAULT=" + fault};
    for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
    std::vector<char*> environment;
    for (auto& variable : variables) environment.push_back(variable.data());
    environment.push_back(nullptr);
    std::vector<std::string> words{NDSHARE_CHILD, scenario, name};
    std::vector<char*> arguments{words[0].data(), words[1].data(), words[2].data(), nullptr};

    const std::string output = folder_ + "/output";
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    pid_t pid = 0;
    const int error =
        posix_spawn(&pid, arguments[0], &actions, nullptr, arguments.data(), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return {};
    const Ended ended = wait_for(pid);
    // Not every point is passed each time, and some errors have an answer.
    if (ended.killed || ended.stopped || ended.code == kSaidNo) ++faults_;
    return ended;
}

namespace {

bool is_in_state(pid_t pid, const char* expected) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string number, command, state;
    in >> number >> command >> state;
    return state == expected;
}

// Asleep, and without a nanosecond of CPU time between two looks.
bool is_at_rest(pid_t pid) {
    const auto used_ns = [pid] {
        std::uint64_t ns = 0;
        std::ifstream("/proc/" + std::to_string(pid) + "/schedstat") >> ns;
        return ns;
    };
    const std::uint64_t before_ns = used_ns();
    usleep(2000);
    return is_in_state(pid, "S") && used_ns() == before_ns;
}

// A child of pid that is stopped; 0: none.
pid_t stopped_child_of(pid_t pid) {
    const std::string id = std::to_string(pid);
    std::ifstream in("/proc/" + id + "/task/" + id + "/children");
    pid_t child = 0;
    while (in >> child) {
        if (is_in_state(child, "T")) return child;
    }
    return 0;
}

}  // namespace

FaultWorld::Ended FaultWorld::wait_for(pid_t pid) const {
    int status = 0;
    Ended ended;
    ended.pid = pid;
    while (waitpid(pid, &status, WUNTRACED | WNOHANG) == 0) {
        // Its parent goes on until it waits, too: what it still does belongs to the run.
        if (const pid_t stopped = stopped_child_of(pid); stopped != 0 && is_at_rest(pid)) {
            ended.stopped = true;
            ended.stopped_pid = stopped;
            return ended;
        }
        usleep(500);
    }
    ended.exited = WIFEXITED(status);
    ended.killed = WIFSIGNALED(status);
    ended.stopped = WIFSTOPPED(status);
    ended.stopped_pid = ended.stopped ? pid : 0;
    ended.code = ended.exited ? WEXITSTATUS(status) : (ended.killed ? WTERMSIG(status) : 0);
    std::stringstream text;
    text << std::ifstream(folder_ + "/output").rdbuf();
    ended.output = text.str();
    return ended;
}

FaultWorld::Ended FaultWorld::resume(const Ended& stopped) {
    kill(stopped.stopped_pid, SIGCONT);
    return wait_for(stopped.pid);
}

std::vector<std::string> FaultWorld::trace(const std::string& scenario, const std::string& name) {
    const std::string file = folder_ + "/trace";
    setenv("NDSHARE_FAULT_TRACE", file.c_str(), 1);
    run(scenario, name, "none:none");
    unsetenv("NDSHARE_FAULT_TRACE");
    std::vector<std::string> points;
    std::ifstream in(file);
    std::string line;
    while (std::getline(in, line)) points.push_back(line);
    fs::remove(file);
    return points;
}

std::vector<std::string> FaultWorld::names_left() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
        const std::string name = entry.path().filename();
        if (!entry.is_directory() && name != "output" && name[0] != '.') names.push_back(name);
    }
    return names;
}

}  // namespace ndshare::test
