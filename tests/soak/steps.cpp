// kill -9 at every k-th instruction of every operation: the victim is led there by single steps,
// killed, and a survivor goes on. Prints a JSON line for each operation.
// Usage: ndshare_steps [stride=1] [first=0] [points=N] [passes=2] [operation=NAME]
//                      [patience_ms=10000] [at=K] [canary=torn|leaked|stopped] [list=1]
//   list: prints the operations' names only
//   first: of the instructions that are tried, begins with that one: parts of an operation
//   at: this instruction only
//   points: as many of the instructions as that, evenly, instead of each stride-th
//   passes: of operations of more than 50,000 instructions each is tried at its first N passes only
// Exit code: 0 nothing was found, 1 something was, 2 usage.
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "remains.h"
#include "step_operations.h"
#include "step_survivor.h"
#include "tracer.h"

namespace ndshare::soak {
namespace {

volatile sig_atomic_t g_is_to_end = 0;

struct Wish {
    std::size_t stride = 1, first = 0, points = 0;
    std::size_t passes = 2;
    std::size_t patience_ms = 10'000;  // of the survivor
    std::optional<std::size_t> at;
    bool lists = false;
    std::string operation, canary;
};

class World {
 public:
    explicit World(std::chrono::milliseconds patience) {
        std::string pattern = "/dev/shm/ndshare-steps-XXXXXX";
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no folder in /dev/shm");
        folder_ = pattern;
        name_space_ = "steps-" + std::to_string(getpid());
        setenv("NDSHARE_DIR", folder_.c_str(), 1);
        setenv("NDSHARE_NAMESPACE", name_space_.c_str(), 1);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
            throw std::runtime_error("socketpair");
        }
        survivor_ = fork();
        if (survivor_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            signal(SIGINT, SIG_IGN);
            close(pair[0]);
            survive_steps(pair[1], patience);
        }
        close(pair[1]);
        socket_ = pair[0];
        require_ok();
    }
    ~World() {
        end_survivor();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    World(const World&) = delete;

    void tell(const std::string& what) {
        const std::string line = what + "\n";
        (void)!write(socket_, line.data(), line.size());
        require_ok();
    }
    // Throws when something is.
    void require_nothing_left() {
        end_survivor();
        for (int k = 0; k < 100 && !memory_left(name_space_).empty(); ++k) usleep(20'000);
        for (const auto& left : memory_left(name_space_)) throw std::runtime_error(left);
        for (const Info& one : ls()) throw std::runtime_error("leaked: the name " + one.name);
        for (const auto& left : names_left(folder_)) throw std::runtime_error("leaked: " + left);
    }

 private:
    void end_survivor() {
        if (survivor_ == 0) return;
        close(socket_);
        kill(survivor_, SIGKILL);
        waitpid(survivor_, nullptr, 0);
        survivor_ = 0;
    }
    void require_ok() {
        pollfd ready{socket_, POLLIN, 0};
        std::string line;
        for (char byte = 0;;) {
            if (poll(&ready, 1, 60'000) == 0) throw std::runtime_error("hung: the survivor");
            if (read(socket_, &byte, 1) != 1) throw std::runtime_error("the survivor is gone");
            if (byte == '\n') break;
            line += byte;
        }
        if (line != "ok") throw std::runtime_error(line);
    }
    std::string folder_, name_space_;
    pid_t survivor_ = 0;
    int socket_ = -1;
};

// What the victim does instead, to see that it is seen.
std::function<void()> canary_of(const std::string& canary) {
    if (canary == "torn") {
        const auto a = std::make_shared<Array>(Array::open(kStepArray, {.writeable = true}));
        return [a] { fill(a->mutable_bytes(), {9, 9}, 1, 2); };
    }
    // Somebody else holds what the victim held.
    auto publisher = std::make_shared<Publisher>(kStepDrop, step_stream(Overflow::drop_oldest));
    auto subscriber = std::make_shared<Subscriber>(kStepDrop);
    std::vector<std::byte> bytes(kStepBytes);
    fill(bytes, {9, 9});
    (void)publisher->put_bytes(bytes);
    return [publisher, subscriber] {
        const auto frame = subscriber->get(std::chrono::seconds(5));
        if (fork() == 0) pause();
    };
}

class Walk {
 public:
    Walk(World& world, const StepOperation& operation, const Wish& wish)
        : world_(world), operation_(operation), wish_(wish) {}

    // False: something was found.
    bool run() {
        const auto began = std::chrono::steady_clock::now();
        std::string found;
        std::size_t k = 0;
        try {
            const Steps steps = count();
            count_ = steps.size();
            for (const std::size_t at : places(steps)) {
                if (g_is_to_end != 0) break;
                kill_at(steps, k = at);
            }
        } catch (const std::exception& error) {
            found = error.what();
        }
        const double seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
        std::printf(
            "{\"operation\":\"%s\",\"instructions\":%zu,\"tried\":%zu,\"over\":%zu,"
            "\"seconds\":%.1f,\"at\":%zu,\"found\":\"%s\"}\n",
            operation_.name, count_, tried_, over_, seconds, k, found.c_str());
        std::fflush(stdout);
        return found.empty();
    }

 private:
    void be_victim() const {
        // Prepared before the first mark.
        const bool is_itself = wish_.canary.empty() || wish_.canary == "stopped";
        const auto operation = is_itself ? operation_.prepare() : canary_of(wish_.canary);
        begin_of_steps();
        operation();
        end_of_steps();
        _exit(0);
    }
    std::string line(const char* what) const { return std::string(what) + " " + operation_.name; }

    // Where to kill.
    std::vector<std::size_t> places(const Steps& steps) const {
        if (wish_.at) return {*wish_.at};
        if (!wish_.canary.empty()) return {count_ / 2, count_ - 1};
        constexpr std::size_t many = 50'000;
        std::unordered_map<std::uint64_t, std::size_t> passes;
        std::vector<std::size_t> all, some;
        for (std::size_t k = 0; k < count_; ++k) {
            if (count_ <= many || ++passes[steps[k]] <= wish_.passes) all.push_back(k);
        }
        const std::size_t stride =
            wish_.points == 0 ? wish_.stride : std::max<std::size_t>(1, all.size() / wish_.points);
        for (std::size_t k = wish_.first; k < all.size(); k += stride) some.push_back(all[k]);
        return some;
    }

    Steps count() {
        Steps steps;
        world_.tell(line("prepare"));
        {
            Traced victim([this] { be_victim(); });
            steps = victim.count();
            victim.kill_here();
        }
        if (wish_.canary.empty() || wish_.canary == "stopped") world_.tell(line("check"));
        return steps;
    }
    void kill_at(const Steps& steps, std::size_t k) {
        world_.tell(line("prepare"));
        Traced victim([this] { be_victim(); });
        if (!victim.go_to(steps, k)) ++over_;
        ++tried_;
        if (wish_.canary != "stopped") victim.kill_here();
        world_.tell(line("check"));
    }

    World& world_;
    const StepOperation& operation_;
    const Wish& wish_;
    std::size_t count_ = 0, tried_ = 0, over_ = 0;
};

int run(const Wish& wish) {
    bool good = true;
    World world{std::chrono::milliseconds(wish.patience_ms)};
    for (const StepOperation& operation : step_operations()) {
        if (!wish.operation.empty() && wish.operation != operation.name) continue;
        good = Walk(world, operation, wish).run() && good;
        if (!good || g_is_to_end != 0) break;
    }
    if (!good) return 1;
    world.require_nothing_left();
    return 0;
}

}  // namespace
}  // namespace ndshare::soak

int main(int argc, char** argv) {
    ndshare::soak::Wish wish;
    const std::map<std::string, std::function<void(const std::string&)>> options{
        {"stride", [&](const std::string& text) { wish.stride = std::stoul(text); }},
        {"first", [&](const std::string& text) { wish.first = std::stoul(text); }},
        {"list", [&](const std::string& text) { wish.lists = text == "1"; }},
        {"points", [&](const std::string& text) { wish.points = std::stoul(text); }},
        {"operation", [&](const std::string& text) { wish.operation = text; }},
        {"at", [&](const std::string& text) { wish.at = std::stoul(text); }},
        {"passes", [&](const std::string& text) { wish.passes = std::stoul(text); }},
        {"patience_ms", [&](const std::string& text) { wish.patience_ms = std::stoul(text); }},
        {"canary", [&](const std::string& text) { wish.canary = text; }},
    };
    signal(SIGINT, [](int) { ndshare::soak::g_is_to_end = 1; });
    try {
        for (int k = 1; k < argc; ++k) {
            const std::string word = argv[k];
            const auto equals = word.find('=');
            if (equals == std::string::npos || !options.contains(word.substr(0, equals))) {
                std::fprintf(stderr, "%s is no option\n", argv[k]);
                return 2;
            }
            options.at(word.substr(0, equals))(word.substr(equals + 1));
        }
        if (wish.lists) {
            for (const auto& one : ndshare::soak::step_operations()) std::puts(one.name);
            return 0;
        }
        return ndshare::soak::run(wish);
    } catch (const std::exception& error) {
        std::printf("{\"operation\":\"\",\"found\":\"%s\"}\n", error.what());
        return 1;
    }
}
