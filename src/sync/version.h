// sync/version.h: an array's version word, and the three verbs around it: write, read, wait.
//
// Invariants: (1) odd means that a write runs or was left; only the holder of the write lock
// changes the word. (2) Odd and nobody holds the lock: the last write was left unfinished, its
// holder died or gave up; the word stays odd until a write completes. (3) Completed writes = word
// / 2. (4) A copy is consistent when the word was even before it and the same after it. Source of
// (4): Lameter's sequence locks; the fences after H.-J. Boehm, "Can seqlocks get along with
// programming language memory models?", MSPC 2012. Threads: begin and finish under
// sync/local_lock.h; the others any. Processes: any. Blocks: read and wait. A crash leaves
// invariant 2.
#pragma once
#include <cstdint>

#include "base/fault.h"
#include "layout/control.h"
#include "sync/patience.h"
#include "sync/read_turn.h"
#include "sync/sleepers.h"
#include "sync/write_lock.h"

namespace ndshare::sync {

enum class ReadOutcome { consistent, incomplete, timed_out };
enum class WaitOutcome { newer, incomplete, timed_out };

constexpr std::uint64_t completed(std::uint64_t version_word) { return version_word >> 1; }
constexpr bool is_odd(std::uint64_t version_word) { return (version_word & 1) != 0; }

template <class Ground>
class Version {
 public:
    Version(layout::ControlWords& words, Ground& ground)
        : words_(words),
          ground_(ground),
          lock_(words.lock, ground),
          turn_(words.turn, ground),
          sleepers_(words.need_wake, ground) {}

    std::uint64_t load() const { return ground_.load_acquire(words_.version); }
    // Invariant 2: odd, and nobody living inside.
    bool is_incomplete() {
        const std::uint64_t seen = load();  // SYNC(version-held): before the look at the lock
        if (!is_odd(seen) || lock_.held_by_the_living()) return false;
        // The lock was free while the word was seen: if it still is the same, nobody is finishing.
        return load() == seen;
    }

    // ---- writing --------------------------------------------------------------------------------
    // false: timed out. From here to finish() or leave() the caller is alone with the memory.
    bool lock(std::uint64_t me, Patience& patience) {
        turn_.let_pass(patience, [this] { return quiet(); });
        return lock_.acquire(me, patience);
    }
    void unlock(std::uint64_t me) noexcept { lock_.release(me); }
    // REQUIRES: locked. After it readers know that the bytes are changing.
    void begin() {
        NDSHARE_FAULT_POINT("version.before_odd");
        // SYNC(version-held): whoever sees the odd word sees the lock word that made it possible,
        // and does not take a living writer for a dead one. (The load is relaxed: only we change
        // it.)
        ground_.store_release(words_.version, ground_.load_relaxed(words_.version) | 1);
        // SYNC(version-odd): whoever sees a byte stored after this sees the odd word afterwards.
        ground_.fence_release();
        NDSHARE_FAULT_POINT("version.after_odd");
    }
    // The new bytes are the version. Returns the number of completed writes.
    std::uint64_t finish(std::uint64_t me) noexcept {
        NDSHARE_FAULT_POINT_QUIET("version.before_even");
        const std::uint64_t even = (ground_.load_relaxed(words_.version) | 1) + 1;
        const bool slept = sleepers_.take();
        // SYNC(version-even): makes the bytes visible to whoever sees the even word. As a locked
        // instruction it also drains the non-temporal stores that large copies use.
        // SYNC(need-wake): the word first, then the look whether somebody sleeps.
        ground_.exchange_seq_cst(words_.version, even);
        NDSHARE_FAULT_POINT_QUIET("version.after_even");
        lock_.release(me);
        wake_sleepers(slept);
        return completed(even);
    }
    // Gives up: the word stays odd, everybody is told until a write completes.
    void leave(std::uint64_t me) noexcept {
        // The word stays the same, so a sleeper that looked before and lies down after this is not
        // woken: it finds out at the end of its slice.
        NDSHARE_FAULT_POINT_QUIET("version.before_leave");
        const bool slept = sleepers_.take();
        lock_.release(me);
        wake_sleepers(slept);
    }

    // ---- reading --------------------------------------------------------------------------------
    // copy(progress) copies bytes that may be changing and calls progress() between pieces, which
    // answers false when the rest is not worth copying. version: of the consistent copy.
    template <class Copy>
    ReadOutcome read(Copy copy, Patience& patience, std::uint32_t nonce, std::uint64_t& version) {
        for (int attempt = 0; attempt < kOptimisticAttempts; ++attempt) {
            const ReadOutcome outcome = attempt_read(copy, patience, version, [] {});
            if (outcome != ReadOutcome::timed_out || patience.over()) return outcome;
        }
        return read_in_turn(copy, patience, nonce, version);
    }

    // ---- waiting --------------------------------------------------------------------------------
    // Until more than since writes were completed.
    WaitOutcome wait_newer(std::uint64_t since, Patience& patience, std::uint64_t& version) {
        std::uint64_t seen = 0;
        const auto look = [&] {
            seen = load();
            return completed(seen) > since;
        };
        bool spun = false;
        for (;;) {
            const bool news = spun ? look() : patience.spin_until(look);
            spun = true;
            if (is_odd(seen) && is_incomplete()) return WaitOutcome::incomplete;
            if (news) {
                version = completed(seen);
                return WaitOutcome::newer;
            }
            if (patience.over()) return WaitOutcome::timed_out;
            sleep_while(seen, patience);
        }
    }

    // A sleep that a finish, a leave or a slice's end interrupts; also a step of waits for several.
    void sleep_while(std::uint64_t seen, Patience& patience) {
        if (announce_sleep(seen)) {
            ground_.sleep(words_.version, static_cast<std::uint32_t>(seen),
                          patience.next_slice_ns());
        }
        patience.ask_whether_to_go_on();
    }
    // Asks the next finish for a wake; false: the word is no longer seen, do not sleep.
    bool announce_sleep(std::uint64_t seen) { return sleepers_.announce(words_.version, seen); }

 private:
    static constexpr int kOptimisticAttempts = 3;

    // For ReadTurn::let_pass.
    std::uint64_t quiet() { return lock_.held_by_the_living() ? 0 : load() + 1; }
    void wake_sleepers(bool slept) noexcept {
        if (!sleepers_.anybody(slept)) return;
        NDSHARE_FAULT_POINT_QUIET("version.before_wake");
        ground_.wake_all(words_.version);
    }

    // One copy, once nobody writes. timed_out: torn, or still being written after one sleep.
    template <class Copy, class Step>
    ReadOutcome attempt_read(Copy& copy, Patience& patience, std::uint64_t& version, Step step) {
        std::uint64_t before = 0;
        const auto look = [&] { return !is_odd(before = load()); };
        if (!patience.spin_until(look)) {
            if (is_incomplete()) return ReadOutcome::incomplete;
            if (!patience.over()) sleep_while(before, patience);
            if (!look()) {
                return is_incomplete() ? ReadOutcome::incomplete : ReadOutcome::timed_out;
            }
        }
        NDSHARE_FAULT_POINT("version.before_copy");
        // SYNC(version-even): pairs with the acquire in load().
        copy([&] {
            step();
            return ground_.load_relaxed(words_.version) == before;  // stale: one piece in vain
        });
        // SYNC(version-odd): a byte stored after an odd word makes that word visible below.
        ground_.fence_acquire();
        NDSHARE_FAULT_POINT("version.after_copy");
        if (ground_.load_relaxed(words_.version) != before) return ReadOutcome::timed_out;
        version = completed(before);
        return ReadOutcome::consistent;
    }

    template <class Copy>
    ReadOutcome read_in_turn(Copy& copy, Patience& patience, std::uint32_t nonce,
                             std::uint64_t& version) {
        // The turn is kept over torn copies: a writer that looked before we asked may still come.
        struct Turn {
            ReadTurn<Ground>& turn;
            ~Turn() { turn.done(); }
        } const give_back{turn_};
        for (;;) {
            while (!turn_.ask(nonce)) {
                if (patience.over()) return ReadOutcome::timed_out;
                turn_.let_pass(patience, [this] { return quiet(); });
            }
            const ReadOutcome outcome =
                attempt_read(copy, patience, version, [this] { turn_.progress(); });
            if (outcome != ReadOutcome::timed_out || patience.over()) return outcome;
        }
    }

    layout::ControlWords& words_;
    Ground& ground_;
    WriteLock<Ground> lock_;
    ReadTurn<Ground> turn_;
    Sleepers<Ground> sleepers_;
};

}  // namespace ndshare::sync
