#include "campaign.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "auditor.h"
#include "canaries.h"
#include "payload.h"
#include "remains.h"
#include "roles.h"
#include "survivor.h"

namespace ndshare::soak {
namespace {

volatile sig_atomic_t g_is_to_end = 0;

constexpr const char* kPythonRoles[] = {"python array", "python stream", "python service"};
// How many children of each C++ role; each Python role has one.
constexpr std::size_t kEach = 2;
constexpr auto kDiesWithParent = SIGKILL;

// In the child: never returns.
template <class Run>
[[noreturn]] void be(Life& life, pid_t parent, Run run) {
    prctl(PR_SET_PDEATHSIG, kDiesWithParent);
    if (getppid() != parent) _exit(0);
    signal(SIGINT, SIG_IGN);  // the terminal's is the campaign's to answer
    signal(SIGTERM, SIG_DFL);
    try {
        run();
    } catch (const std::exception& error) {
        life.wrong(std::string("an error that should not be: ") + error.what());
    }
    _exit(0);
}

void say_ready(int fd) { (void)!write(fd, "r", 1); }

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < 32 ? ' ' : c;
    }
    return out + "\"";
}

}  // namespace

void end_on_signals() {
    struct sigaction action{};
    action.sa_handler = [](int) { g_is_to_end = 1; };
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

Campaign::Campaign(const Plan& plan) : plan_(plan), random_(plan.seed) {
    std::string pattern = "/dev/shm/ndshare-soak-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no folder in /dev/shm");
    folder_ = pattern;
    name_space_ = "soak-" + std::to_string(getpid());
    setenv("NDSHARE_DIR", folder_.c_str(), 1);
    setenv("NDSHARE_NAMESPACE", name_space_.c_str(), 1);
    unsetenv("NDSHARE_ROOT");
    ledger_ = &map_ledger(folder_ + "/ledger", true);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Campaign::~Campaign() {
    for (const Child& child : children_) {
        if (child.pid != 0) kill(child.pid, SIGKILL);
    }
    for (const pid_t pid : {survivor_, auditor_}) {
        if (pid != 0) kill(pid, SIGKILL);
    }
    nursery_.end();
    while (waitpid(-1, nullptr, 0) > 0) {
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

std::uint64_t Campaign::draw(std::uint64_t end) {
    const std::uint64_t drawn = random_() % end;
    digest_ = (digest_ ^ drawn) * 0x100000001B3;  // FNV-1a
    return drawn;
}

std::size_t Campaign::role_of(std::size_t place) const { return place / kEach; }

// It lives until it is found.
bool Campaign::is_canary(std::size_t place) const {
    return place == 0 && is_scribbler(plan_.canary);
}

std::string Campaign::who(std::size_t place) const {
    const std::size_t role = role_of(place);
    if (role < kRoleCount) return kRoles[role].name;
    return kPythonRoles[(place - kRoleCount * kEach) % std::size(kPythonRoles)];
}

void Campaign::start_survivor() {
    int ready[2];
    if (pipe(ready) != 0) throw std::runtime_error("pipe");
    const pid_t parent = getpid();
    survivor_ = fork();
    if (survivor_ == 0) {
        close(ready[0]);
        Life life(ledger_->entries[kSurvivor], next_id_, plan_.seed, {});
        be(life, parent, [&] { survive(life, *ledger_, say_ready, ready[1]); });
    }
    ++next_id_;
    close(ready[1]);
    char byte = 0;
    const bool is_ready = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    if (!is_ready)
        throw std::runtime_error("the survivor did not begin: " +
                                 std::string(ledger_->entries[kSurvivor].text));
}

void Campaign::start_auditor() {
    const pid_t parent = getpid();
    auditor_ = fork();
    if (auditor_ == 0) {
        Life life(ledger_->entries[kAuditor], 0, plan_.seed, {});
        be(life, parent, [&] { audit(life, *ledger_); });
    }
}

void Campaign::start(std::size_t place) {
    Child& child = children_[place];
    const std::uint64_t id = next_id_++;
    const std::uint64_t seed = mixed(plan_.seed ^ mixed(id));
    child = Child{};
    child.beats = ledger_->entries[place].beats.load();
    child.beat_at = Clock::now();
    ++starts_;
    if (role_of(place) >= kRoleCount) {
        child.pid = nursery_.bear(who(place), place, id, seed);
        return;
    }
    const pid_t parent = getpid();
    child.pid = fork();
    if (child.pid < 0) throw std::runtime_error("fork failed");
    if (child.pid == 0) {
        Life life(ledger_->entries[place], id, seed, plan_.canary);
        be(life, parent, [&] {
            if (is_canary(place)) scribble(life);
            kRoles[role_of(place)].run(life);
        });
    }
}

void Campaign::kill_child(std::size_t place) {
    Child& child = children_[place];
    if (child.pid == 0 || child.is_killed || (!is_over_ && is_canary(place))) return;
    child.doing = ledger_->entries[place].doing.load() % kDoings;
    kill(child.pid, SIGKILL);
    child.is_killed = true;
}

void Campaign::stop_child(std::size_t place, int ticks) {
    Child& child = children_[place];
    if (child.pid == 0 || child.is_killed || child.is_stopped || is_canary(place)) return;
    kill(child.pid, SIGSTOP);
    child.is_stopped = true;
    child.ticks_to_continue = ticks;
    ++stops_;
}

void Campaign::continue_child(std::size_t place) {
    Child& child = children_[place];
    if (!child.is_stopped || child.is_killed) return;
    kill(child.pid, SIGCONT);
    child.is_stopped = false;
    child.beat_at = Clock::now();
    ++continues_;
}

void Campaign::decide() {
    for (std::size_t place = 0; place < children_.size(); ++place) {
        if (children_[place].is_stopped && --children_[place].ticks_to_continue <= 0) {
            continue_child(place);
        }
    }
    const std::uint64_t what = draw(100);
    const std::size_t place = draw(children_.size());
    if (what < 84) {
        kill_child(place);
    } else if (what < 98) {
        stop_child(place, static_cast<int>(1 + draw(20)));
    } else {  // all of one role at once
        ++massacres_;
        for (std::size_t other = 0; other < children_.size(); ++other) {
            if (role_of(other) == role_of(place)) kill_child(other);
        }
    }
    ++decisions_;
}

void Campaign::ended(std::size_t place, int status) {
    Child& child = children_[place];
    const bool was_killed = child.is_killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    const bool has_left = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    child.pid = 0;
    if (has_left) ++left_;
    if (was_killed) {  // not where it had ended by itself before
        if (child.is_stopped) ++killed_stopped_;
        ++kills_[who(place)][child.doing];
        ++kill_count_;
    }
    if (was_killed || has_left || is_over_) return;
    Entry& entry = ledger_->entries[place];
    complain(who(place) + ": " +
             (entry.is_wrong.load() != 0 ? std::string(entry.text)
                                         : "ended with status " + std::to_string(status)));
}

void Campaign::reap() {
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == survivor_ || pid == auditor_) {
            const bool is_survivor = pid == survivor_;
            (is_survivor ? survivor_ : auditor_) = 0;
            if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
            const char* text = ledger_->entries[is_survivor ? kSurvivor : kAuditor].text;
            complain((is_survivor ? "the survivor: " : "the auditor: ") +
                     (text[0] != '\0' ? std::string(text)
                                      : "ended with status " + std::to_string(status)));
            continue;
        }
        // Others are children of the killed.
        for (std::size_t place = 0; place < children_.size(); ++place) {
            if (children_[place].pid == pid) {
                ended(place, status);
                break;
            }
        }
    }
}

void Campaign::watch() {
    const auto now = Clock::now();
    const std::chrono::duration<double> limit(plan_.stuck_seconds);
    for (std::size_t place = 0; place < children_.size(); ++place) {
        Child& child = children_[place];
        const std::uint64_t beats = ledger_->entries[place].beats.load();
        if (beats != child.beats || child.is_stopped) {
            child.beats = beats;
            child.beat_at = now;
        } else if (child.pid != 0 && now - child.beat_at > limit) {
            const auto doing = ledger_->entries[place].doing.load() % kDoings;
            complain("hung: " + who(place) + ", pid " + std::to_string(child.pid) + ", at " +
                     kDoingNames[doing]);
            child.beat_at = now;
        }
    }
}

void Campaign::complain(const std::string& what) {
    complaints_.push_back(what);
    g_is_to_end = 1;
}

int Campaign::run() {
    began_ = Clock::now();
    start_survivor();
    start_auditor();
    children_.resize(kRoleCount * kEach);
    if (!plan_.python.empty()) {
        nursery_.start(plan_.python, plan_.python_load, folder_ + "/ledger");
        children_.resize(children_.size() + std::size(kPythonRoles));
    }
    const auto end = began_ + std::chrono::duration<double>(plan_.seconds);
    auto progress = Clock::now();
    while (g_is_to_end == 0 && Clock::now() < end && decisions_ < plan_.decisions) {
        for (std::size_t place = 0; place < children_.size(); ++place) {
            if (children_[place].pid == 0) start(place);
        }
        // Exponential, from the seed: kills come alone and in heaps.
        const double mean_us = 1000 * plan_.mean_ms;
        const double share = static_cast<double>(draw(1'000'000) + 1) / 1'000'001;
        usleep(static_cast<useconds_t>(std::min(-std::log(share), 5.0) * mean_us));
        decide();
        reap();
        watch();
        if (Clock::now() - progress > std::chrono::seconds(1)) {
            progress = Clock::now();
            print_progress();
        }
    }
    end_all();
    if (complaints_.empty()) look_for_remains();
    print_end();
    return complaints_.empty() ? 0 : 1;
}

// Everybody dies at once; the survivor finds everything back, the auditor looks at memory at rest.
void Campaign::end_all() {
    is_over_ = true;
    for (std::size_t place = 0; place < children_.size(); ++place) kill_child(place);
    const auto end = Clock::now() + kPatience * 2;
    const auto anybody = [&] {
        return std::ranges::any_of(children_, [](const Child& child) { return child.pid != 0; });
    };
    while (anybody() && Clock::now() < end) {
        reap();
        usleep(1000);
    }
    if (anybody()) complaints_.push_back("hung: a killed process does not end");
    nursery_.end();
    ledger_->phase.store(kAlone);
    while ((survivor_ != 0 || auditor_ != 0) && complaints_.empty() && Clock::now() < end) {
        reap();
        usleep(1000);
    }
    if (survivor_ != 0 && complaints_.empty()) complaints_.push_back("hung: the survivor's end");
    if (auditor_ != 0 && complaints_.empty()) complaints_.push_back("hung: the auditor's end");
}

void Campaign::look_for_remains() {
    if (plan_.canary == "left-memory") leave_memory(name_space_);
    // What the kernel has not finished yet.
    const auto end = Clock::now() + std::chrono::seconds(2);
    while (!memory_left(name_space_).empty() && Clock::now() < end) usleep(20'000);
    for (const auto& left : memory_left(name_space_)) complaints_.push_back("leaked: " + left);
    for (const Info& one : ls()) complaints_.push_back("leaked: the name " + one.name);
    for (const auto& left : names_left(folder_)) complaints_.push_back("leaked: the entry " + left);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (waitpid(-1, nullptr, WNOHANG) == 0) complaints_.push_back("leaked: a process");
}

void Campaign::print_progress() const {
    std::uint64_t done = 0;
    for (const Entry& entry : ledger_->entries) {
        for (const auto& count : entry.done) done += count.load();
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
    std::printf(
        "{\"progress\":{\"seconds\":%.1f,\"kills\":%llu,\"stops\":%llu,"
        "\"operations\":%llu}}\n",
        seconds, static_cast<unsigned long long>(kill_count_),
        static_cast<unsigned long long>(stops_), static_cast<unsigned long long>(done));
    std::fflush(stdout);
}

void Campaign::print_end() const {
    std::string text = "{\"end\":{\"seed\":" + std::to_string(plan_.seed);
    const auto add = [&](const std::string& name, std::uint64_t value) {
        text += "," + quoted(name) + ":" + std::to_string(value);
    };
    add("milliseconds",
        static_cast<std::uint64_t>(
            std::chrono::duration<double, std::milli>(Clock::now() - began_).count()));
    std::uint64_t forks = 0, fork_kills = 0;
    std::array<std::uint64_t, kDoings> done{};
    for (const Entry& entry : ledger_->entries) {
        forks += entry.forks.load();
        fork_kills += entry.grandchildren_killed.load();
        for (std::size_t k = 0; k < kDoings; ++k) done[k] += entry.done[k].load();
    }
    add("decisions", decisions_);
    add("digest of decisions", digest_);
    add("kills", kill_count_);
    add("kills of forks", fork_kills);
    add("kills of stopped", killed_stopped_);
    add("kills of a whole role", massacres_);
    add("stops", stops_);
    add("continues", continues_);
    add("starts", starts_);
    add("left", left_);
    add("forks", forks);
    add("looks at raw memory", ledger_->looks.load());
    const auto add_table = [&](const char* name, const auto& counts) {
        text += std::string(",\"") + name + "\":{";
        bool first = true;
        for (std::size_t k = 0; k < kDoings; ++k) {
            if (counts[k] == 0) continue;
            text += (first ? "" : ",") + quoted(kDoingNames[k]) + ":" + std::to_string(counts[k]);
            first = false;
        }
        text += "}";
    };
    add_table("done", done);
    text += ",\"killed\":{\"\":{}";
    for (const auto& [role, counts] : kills_) add_table(role.c_str(), counts);
    text += "},\"complaints\":[";
    for (std::size_t k = 0; k < complaints_.size(); ++k) {
        text += (k == 0 ? "" : ",") + quoted(complaints_[k]);
    }
    std::printf("%s]}}\n", text.c_str());
    std::fflush(stdout);
}

}  // namespace ndshare::soak
