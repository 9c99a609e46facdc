#include "schedule/world.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "schedule/sim_ground.h"
#include "sync/peer_rows.h"

namespace ndshare::schedule {
namespace {

constexpr std::size_t kStackBytes = 128 << 10;
constexpr std::uint64_t kFirstEpoch = 1;

struct EndCheckFailed {};

const World* g_running = nullptr;

std::uint64_t mixed(std::uint64_t h, std::uint64_t value) {
    h = (h ^ value) * 0xff51afd7ed558ccdULL;
    return h ^ (h >> 32);
}

}  // namespace

std::int64_t virtual_now_ns() noexcept { return g_running == nullptr ? 1 : g_running->now_ns(); }

World::World()
    : arena_(std::make_unique<Arena>()),
      memory_(reinterpret_cast<std::byte*>(arena_.get()), sizeof(Arena)) {
    std::memset(static_cast<void*>(arena_.get()), 0, sizeof(Arena));
}
World::~World() = default;

// ---- a run --------------------------------------------------------------------------------------

void World::reset(const Plan& plan, Choices& choices, bool tracing) {
    memory_.reset(plan.weak_memory);
    processes_.clear();
    for (Row& row : rows_) row = {};
    current_ = nullptr;
    plan_ = plan;
    choices_ = &choices;
    steps_ = 0;
    skipped_ns_ = 0;
    kill_count_ = 0;
    last_kill_ns_ = 0;
    verdict_ = Verdict::good;
    violation_.clear();
    end_check_ = nullptr;
    step_look_ = nullptr;
    tracing_ = tracing;
    lines_.clear();
}

Verdict World::run(const Plan& plan, Choices& choices, const std::function<void(World&)>& setup,
                   bool tracing) {
    reset(plan, choices, tracing);
    g_running = this;
    setup(*this);
    current_ = choose();
    if (current_ != nullptr) Fiber::jump(main_, *current_->fiber);
    current_ = nullptr;
    try {
        if (verdict_ == Verdict::good && end_check_) end_check_();
    } catch (const EndCheckFailed&) {
    }
    return verdict_;
}

void World::stop(Verdict verdict) {
    verdict_ = verdict;
    if (current_ != nullptr) Fiber::jump(*current_->fiber, main_);
    std::abort();  // nobody comes back into an ended run
}

void World::violate(std::string what) {
    violation_ = std::move(what);
    if (current_ != nullptr) stop(Verdict::violated);
    verdict_ = Verdict::violated;
    throw EndCheckFailed{};
}

// ---- processes ----------------------------------------------------------------------------------

Fiber& World::fiber_of(std::size_t number) {
    while (fibers_.size() <= number) fibers_.push_back(std::make_unique<Fiber>(kStackBytes));
    return *fibers_[number];
}

Process& World::add(const Role& role, std::function<void(Process&)> body) {
    Process& who = processes_.emplace_back();
    who.role = role.name;
    who.number = processes_.size() - 1;
    who.row = role.row;
    who.may_be_killed = role.may_be_killed;
    who.lives_left = role.lives - 1;
    who.body = std::move(body);
    who.fiber = &fiber_of(who.number);
    who.fiber->prepare([this, &who] {
        if (who.owner == 0) take_row(who);
        who.body(who);
        who.state = Process::State::ended;
        leave_row(who);
        go_on_with_next();
    });
    return who;
}

void World::spawn(const Role& role, std::function<void(Process&)> body) {
    Process& who = add(role, std::move(body));
    rows_[role.row].holder = &who;
    who.owner = sync::owner_word(role.row, kFirstEpoch);
    set_initial(control().row(role.row).epoch, kFirstEpoch);
}

void World::take_row(Process& who) {
    begin_step();
    Row& row = rows_[who.row];
    require(row.holder == nullptr, "the world gave one row to two processes");
    row.holder = &who;
    who.knowledge.now.join(row.left);
    end_step("lock its row", nullptr, who.row, 0);
    SimGround ground(*this, who.row);
    who.owner = sync::owner_word(who.row, sync::raise_epoch(ground, control().row(who.row)));
}

void World::leave_row(Process& who) {
    Row& row = rows_[who.row];
    if (row.holder != &who) return;
    row.holder = nullptr;
    row.left.join(who.knowledge.now);
}

bool World::holder_lives(std::uint64_t owner) const {
    if (!sync::names_a_row(owner)) return false;
    const std::size_t row = sync::row_of(owner);
    return row < kRowsMax && rows_[row].holder != nullptr &&
           rows_[row].holder->owner == sync::owner_of(owner);
}

// ---- deciding -----------------------------------------------------------------------------------

void World::maybe_kill() {
    if (kill_count_ >= plan_.kills) return;
    candidates_.clear();
    for (const Process& p : processes_) {
        if (p.unfinished() && p.may_be_killed) candidates_.push_back(p.number);
    }
    if (candidates_.empty()) return;
    const std::size_t index = choices_->kill(candidates_);
    if (index != Choices::kNobody) kill(processes_[candidates_[index]]);
}

void World::kill(Process& victim) {
    ++kill_count_;
    last_kill_ns_ = now_ns();
    victim.state = Process::State::killed;
    leave_row(victim);
    if (tracing_) lines_.push_back({steps_, victim.number, "IS KILLED", nullptr, 0, 0});
    if (victim.lives_left == 0) return;
    // A deque: references to the others stay good.
    Process& next =
        add({victim.role, victim.row, victim.lives_left, victim.may_be_killed}, victim.body);
    next.life = victim.life + 1;
}

void World::die() {
    kill(*current_);
    go_on_with_next();
    std::abort();  // nobody comes back into a killed process
}

void World::end_due_sleeps() {
    if (plan_.slices != Slices::by_clock) return;
    for (Process& p : processes_) {
        if (p.state == Process::State::sleeping && p.wakes_at_ns <= now_ns()) {
            p.state = Process::State::ready;
        }
    }
}

// Nobody is ready: whose sleep ends by itself?
Process* World::sleeper_to_wake() {
    candidates_.clear();
    for (const Process& p : processes_) {
        if (p.state == Process::State::sleeping) candidates_.push_back(p.number);
    }
    if (candidates_.empty()) return nullptr;
    if (plan_.slices == Slices::never) stop(Verdict::everybody_sleeps);
    if (choices_->wants_states()) {
        // Every order, but none in which one sleeper's slices end for ever and another's never do.
        std::uint64_t least = ~std::uint64_t{0};
        for (const std::size_t number : candidates_) {
            least = std::min(least, processes_[number].slice_count);
        }
        std::erase_if(candidates_, [&](std::size_t number) {
            return processes_[number].slice_count > least + 1;
        });
    }
    Process* chosen = &processes_[candidates_[choices_->pick(candidates_.size())]];
    if (plan_.slices == Slices::by_clock) {
        for (const std::size_t number : candidates_) {
            if (processes_[number].wakes_at_ns < chosen->wakes_at_ns) chosen = &processes_[number];
        }
    }
    // One without end is interrupted some day; time must not come to its own end.
    constexpr std::int64_t kDayNs = std::int64_t{24} * 3600 * 1'000'000'000;
    skipped_ns_ += std::clamp<std::int64_t>(chosen->wakes_at_ns - now_ns(), 0, kDayNs);
    chosen->state = Process::State::ready;
    ++chosen->slice_count;
    return chosen;
}

// nullptr: all have ended.
Process* World::choose() {
    maybe_kill();
    end_due_sleeps();
    if (plan_.slices == Slices::any_time) {
        for (Process& p : processes_) {
            if (p.state == Process::State::sleeping && choices_->rarely()) {
                p.state = Process::State::ready;
            }
        }
    }
    candidates_.clear();
    for (const Process& p : processes_) {
        if (p.state == Process::State::ready) candidates_.push_back(p.number);
    }
    if (candidates_.empty()) return sleeper_to_wake();
    const bool goes_on = current_ != nullptr && current_->state == Process::State::ready;
    return &processes_[choices_->next(candidates_, goes_on ? current_->number : Choices::kNobody)];
}

void World::go_on_with_next() {
    Process* me = current_;
    Process* next = choose();
    if (next == me && next != nullptr) return;
    current_ = next;
    Fiber::jump(*me->fiber, next == nullptr ? main_ : *next->fiber);
}

void World::begin_step() {
    if (++steps_ > plan_.steps_max) stop(Verdict::endless);
    if (choices_->wants_states() && choices_->was_seen(state_hash())) stop(Verdict::cut);
    go_on_with_next();
}

void World::end_step(const char* verb, const void* word, std::uint64_t value,
                     std::uint64_t result) {
    if (choices_->wants_states()) current_->observed = mixed(current_->observed, result + 1);
    if (tracing_) lines_.push_back({steps_, current_->number, verb, word, value, result});
    last_word_ = word;
    if (step_look_) step_look_();
}

std::uint64_t World::state_hash() const {
    std::uint64_t h = memory_.hash();
    for (const Process& p : processes_) {
        h = mixed(h, p.observed);
        h = mixed(h, memory_.hash(p.knowledge));
        h = mixed(h, static_cast<std::uint64_t>(p.state) +
                         16 * reinterpret_cast<std::uintptr_t>(p.asleep_on));
    }
    return mixed(h, static_cast<std::uint64_t>(kill_count_) + 8 * current_->number);
}

// ---- operations ---------------------------------------------------------------------------------

std::size_t World::pick(std::size_t count) {
    const std::size_t picked = choices_->pick(count);
    current_->observed = mixed(current_->observed, picked + 1);
    return picked;
}

void World::pause() {
    begin_step();
    end_step("pause", nullptr, 0, 0);
}

std::uint64_t World::load(const void* word, std::size_t bytes, Order order) {
    begin_step();
    const auto value =
        memory_.load(current_->knowledge, const_cast<void*>(word), bytes, order, *choices_);
    end_step("load", word, value, value);
    return value;
}

void World::store(void* word, std::size_t bytes, Order order, std::uint64_t value) {
    begin_step();
    memory_.store(current_->knowledge, word, bytes, order, value);
    end_step("store", word, value, 0);
}

std::uint64_t World::exchange(void* word, std::size_t bytes, std::uint64_t value, Order order) {
    begin_step();
    const auto before = memory_.exchange(current_->knowledge, word, bytes, value, order);
    end_step("exchange", word, value, before);
    return before;
}

bool World::compare_exchange(void* word, std::size_t bytes, std::uint64_t& expected,
                             std::uint64_t desired, Order order) {
    begin_step();
    const bool done = memory_.compare_exchange(current_->knowledge, word, bytes, expected, desired,
                                               *choices_, order);
    end_step(done ? "cas" : "cas fails", word, done ? desired : expected,
             expected + (done ? 1 : 0));
    return done;
}

void World::fence(Order order) {
    begin_step();
    memory_.fence(current_->knowledge, order);
    end_step("fence", nullptr, 0, 0);
}

bool World::row_is_locked(std::size_t row) {
    begin_step();
    const bool locked = row < kRowsMax && rows_[row].holder != nullptr;
    // The kernel's own lock hands over what its former holder did.
    if (!locked && row < kRowsMax) current_->knowledge.now.join(rows_[row].left);
    end_step(locked ? "row is locked" : "row is free", nullptr, row, locked ? 1 : 0);
    return locked;
}

void World::sleep(const void* word, std::uint32_t expected, std::int64_t ns) {
    require(current_->may_sleep, "a wait that has no time slept");
    begin_step();
    const auto now = static_cast<std::uint32_t>(Memory::last(word, sizeof(std::uint32_t)));
    const bool sleeps = now == expected;
    end_step(sleeps ? "sleep" : "sleep refused", word, expected, sleeps ? 1 : 0);
    if (!sleeps) return;
    current_->state = Process::State::sleeping;
    ++current_->sleep_count;
    current_->asleep_on = word;
    // Who has no deadline may sleep for ever.
    if (__builtin_add_overflow(now_ns(), ns, &current_->wakes_at_ns)) {
        current_->wakes_at_ns = std::numeric_limits<std::int64_t>::max();
    }
    go_on_with_next();
    current_->asleep_on = nullptr;
    if (tracing_) lines_.push_back({steps_, current_->number, "is awake", word, 0, 0});
}

void World::wake_all(const void* word) {
    begin_step();
    std::uint64_t woken = 0;
    for (Process& p : processes_) {
        if (p.state != Process::State::sleeping || p.asleep_on != word) continue;
        p.state = Process::State::ready;
        p.knowledge.now.join(current_->knowledge.now);
        ++woken;
    }
    end_step("wake all", word, woken, 0);
}

void World::wake_one(const void* word) {
    begin_step();
    std::vector<Process*> asleep;
    for (Process& p : processes_) {
        if (p.state == Process::State::sleeping && p.asleep_on == word) asleep.push_back(&p);
    }
    if (!asleep.empty()) {
        Process& p = *asleep[choices_->pick(asleep.size())];
        p.state = Process::State::ready;
        p.knowledge.now.join(current_->knowledge.now);
    }
    end_step("wake one", word, asleep.size(), 0);
}

// The pipe of that process, if it lives and everything agrees.
bool World::ring(std::uint32_t pid, std::uint32_t fd, std::uint64_t inode) {
    pause();  // between the look at its words and the pipe
    for (const Process& p : processes_) {
        if (!p.unfinished() || pid_of(p) != pid || fd_of(p) != fd || inode_of(p) != inode) continue;
        exchange(&pipe(fd), sizeof(layout::Word32), 1, Order::acq_rel);  // the kernel's own lock
        wake_all(&pipe(fd));
        return true;
    }
    return false;
}

}  // namespace ndshare::schedule
