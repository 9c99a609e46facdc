// schedule/world.h: a machine with one CPU and virtual processes, of which exactly one runs at a
// time. Before each operation on shared words the world decides who goes on, who is killed (and may
// come back as a new process in the same row), and whose sleep ends by itself.
//
// A killed process never runs again, nothing on its stack is destroyed, and its row's lock is free
// at once: a kernel that takes longer looks like a kill that comes later. Processes that come back
// take the row as sync/peer_rows.cpp does: the lock, then a higher epoch (the same code).
// Threads: one.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "layout/control.h"
#include "schedule/fiber.h"
#include "schedule/memory.h"

namespace ndshare::schedule {

enum class Slices {
    never,      // only a wake ends a sleep: finds lost ones
    when_idle,  // a sleep ends by itself only when nobody else can go on
    any_time,   // a sleep may end by itself at any moment (signals, long pauses of the others)
    by_clock,   // when their time is over, and not before
};

struct Plan {
    Slices slices = Slices::when_idle;
    int kills = 0;
    bool weak_memory = false;
    std::uint64_t steps_max = 20'000;
    std::int64_t ns_a_step = 1'000'000;
};

inline constexpr std::size_t kStreamBytes = 24 << 10;  // of a stream of a few slots

struct Arena {
    alignas(64) std::byte control[layout::kControlBytes + kStreamBytes];
    layout::Word64 payload[16];
    layout::Word64 scratch[8];
    layout::Word32 pipes[4];  // 1: readable
};

class World;

// The time of the world that runs.
std::int64_t virtual_now_ns() noexcept;

struct Process {
    enum class State { ready, sleeping, ended, killed };
    std::string_view role;
    std::size_t number = 0;  // among all processes of a run
    std::size_t row = 0;
    int life = 0;             // 0 for the first process of its role, then 1, ...
    std::uint64_t owner = 0;  // its word in locks; 0 until the row is taken
    bool may_be_killed = true;
    bool may_sleep = true;
    State state = State::ready;
    std::uint64_t sleep_count = 0;
    std::uint64_t slice_count = 0;  // sleeps that ended by themselves, because nobody else went on

    bool unfinished() const { return state == State::ready || state == State::sleeping; }

 private:
    friend class World;
    int lives_left = 0;
    const void* asleep_on = nullptr;
    std::int64_t wakes_at_ns = 0;
    std::uint64_t observed = 0;  // hash of all that its operations told it
    Knowledge knowledge{};
    Fiber* fiber = nullptr;
    std::function<void(Process&)> body;
};

struct Role {
    std::string_view name;
    std::size_t row = 0;
    int lives = 1;  // how many processes follow each other in the row when each is killed
    bool may_be_killed = true;
};

enum class Verdict { good, violated, endless, everybody_sleeps, cut };

class World {
 public:
    World();
    ~World();

    // ---- for a test's setup and its processes ---------------------------------------------------
    layout::Control control() { return layout::Control(arena_->control); }
    layout::Word64& payload(std::size_t k) { return arena_->payload[k]; }
    layout::Word64& scratch(std::size_t k) { return arena_->scratch[k]; }
    // What poll sleeps on; fd: 1 to 4, one a row. It goes with its process.
    layout::Word32& pipe(std::size_t fd) { return arena_->pipes[fd - 1]; }
    static std::uint32_t pid_of(const Process& who) {
        return static_cast<std::uint32_t>(who.number + 1);
    }
    static std::uint64_t inode_of(const Process& who) { return 100 + who.number; }
    static std::uint32_t fd_of(const Process& who) {
        return static_cast<std::uint32_t>(who.row + 1);
    }
    // A process that is there from the beginning, its row taken before the run; one a row.
    void spawn(const Role& role, std::function<void(Process&)> body);
    // Checked when all processes have ended or died.
    void at_end(std::function<void()> check) { end_check_ = std::move(check); }
    // Called after every operation, outside the count of steps.
    void after_each_step(std::function<void()> look) { step_look_ = std::move(look); }
    // Ends the run: a promise is broken.
    [[noreturn]] void violate(std::string what);
    void require(bool good, const char* what) {
        if (!good) violate(what);
    }
    // A moment at which others may run.
    void pause();
    // One of 0 .. count - 1, for what a test leaves open.
    std::size_t pick(std::size_t count);
    // A word's value before the run; in setup only.
    void set_initial(auto& word, std::uint64_t value) {
        memory_.set_initial(&word, sizeof word, value);
    }
    std::uint64_t now() const { return steps_; }
    std::int64_t now_ns() const {
        return 1 + skipped_ns_ + static_cast<std::int64_t>(steps_) * plan_.ns_a_step;
    }
    int kill_count() const { return kill_count_; }
    std::int64_t last_kill_ns() const { return last_kill_ns_; }
    bool holder_lives(std::uint64_t owner) const;
    std::uint64_t last(const auto& word) { return Memory::last(&word, sizeof word); }
    const std::deque<Process>& processes() const { return processes_; }
    const Process& current() const { return *current_; }
    // Of the last operation; nullptr: it was on none.
    const void* last_word() const { return last_word_; }
    // The process that runs is killed here, whatever the plan says.
    [[noreturn]] void die();

    // ---- for the ground -------------------------------------------------------------------------
    std::uint64_t load(const void* word, std::size_t bytes, Order order);
    void store(void* word, std::size_t bytes, Order order, std::uint64_t value);
    std::uint64_t exchange(void* word, std::size_t bytes, std::uint64_t value, Order order);
    bool compare_exchange(void* word, std::size_t bytes, std::uint64_t& expected,
                          std::uint64_t desired, Order order);
    void fence(Order order);
    bool row_is_locked(std::size_t row);
    void sleep(const void* word, std::uint32_t expected, std::int64_t ns);
    void wake_all(const void* word);
    // One of them, whichever: the kernel promises no order to those who rely on none.
    void wake_one(const void* word);
    bool ring(std::uint32_t pid, std::uint32_t fd, std::uint64_t inode);

    // ---- for schedule/explore.cpp ---------------------------------------------------------------
    Verdict run(const Plan& plan, Choices& choices, const std::function<void(World&)>& setup,
                bool tracing);
    const std::string& violation() const { return violation_; }
    std::string trace(std::size_t lines_max) const;

 private:
    static constexpr std::size_t kRowsMax = 8;
    struct Row {
        Process* holder = nullptr;
        View left;  // what the kernel hands over from a row's former holder
    };
    void reset(const Plan& plan, Choices& choices, bool tracing);
    Fiber& fiber_of(std::size_t number);
    Process& add(const Role& role, std::function<void(Process&)> body);
    void take_row(Process& who);
    void leave_row(Process& who);
    void begin_step();
    void end_step(const char* verb, const void* word, std::uint64_t value, std::uint64_t result);
    void maybe_kill();
    void kill(Process& victim);
    void end_due_sleeps();
    Process* choose();
    Process* sleeper_to_wake();
    void go_on_with_next();
    [[noreturn]] void stop(Verdict verdict);
    std::uint64_t state_hash() const;
    std::string name_of(const void* word) const;

    std::unique_ptr<Arena> arena_;
    Memory memory_;
    Fiber main_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::deque<Process> processes_;
    Row rows_[kRowsMax];
    Process* current_ = nullptr;
    Plan plan_;
    Choices* choices_ = nullptr;
    const void* last_word_ = nullptr;
    std::uint64_t steps_ = 0;
    std::int64_t skipped_ns_ = 0;  // in which everybody slept
    int kill_count_ = 0;
    std::int64_t last_kill_ns_ = 0;
    Verdict verdict_ = Verdict::good;
    std::string violation_;
    std::function<void()> end_check_, step_look_;
    std::vector<std::size_t> candidates_;

    struct Line {
        std::uint64_t step;
        std::size_t process;
        const char* verb;
        const void* word;
        std::uint64_t value, result;
    };
    bool tracing_ = false;
    std::vector<Line> lines_;
};

}  // namespace ndshare::schedule
