// sync/write_lock.h: exclusion between processes that survives its holder.
//
// Invariants: (1) the word is 0 or names its holder: taking it and saying so are one instruction.
// (2) Only the holder clears it, or anyone once the kernel says that the holder is dead, by CAS
// from the exact word. (3) What the lock protects tells by itself whether it was left unfinished: a
// recovery frees the word and judges nothing.
// Threads: one of a process at a time (sync/local_lock.h stands before it). Processes: any.
// Blocks: acquire. A crash leaves a word that the next one recovers.
#pragma once
#include <cstdint>

#include "base/check.h"
#include "base/fault.h"
#include "sync/owner.h"
#include "sync/patience.h"

namespace ndshare::sync {

template <class Ground>
class WriteLock {
 public:
    WriteLock(layout::Word64& word, Ground& ground) : word_(word), ground_(ground) {}

    bool try_acquire(std::uint64_t me) {
        std::uint64_t expected = 0;
        // SYNC(write-lock): sees everything the last holder did.
        return ground_.compare_exchange(word_, expected, me);
    }

    // REQUIRES: nobody of this process is inside. false: timed out.
    bool acquire(std::uint64_t me, Patience& patience) {
        if (patience.spin_until([&] { return try_acquire(me); })) return true;
        for (;;) {
            std::uint64_t seen = ground_.load_acquire(word_);
            // Free; or of a dead one who had our row, or scribbled: we are not inside, and to the
            // others we are alive.
            if (seen == 0 || (seen & kRowMask) == (me & kRowMask)) {
                // Others may sleep still: whoever slept takes the word as contended, and wakes.
                // SYNC(write-lock)
                if (ground_.compare_exchange(word_, seen, me | kContended)) return true;
                continue;
            }
            if (recover_if_dead(seen)) continue;
            if (patience.over()) return false;
            if (!ground_.compare_exchange(word_, seen, seen | kContended)) continue;
            ground_.sleep(word_, static_cast<std::uint32_t>(seen | kContended),
                          patience.next_slice_ns());
            patience.ask_whether_to_go_on();
        }
    }

    // REQUIRES: this process holds the word as me.
    void release(std::uint64_t me) noexcept {
        std::uint64_t seen = me;
        NDSHARE_FAULT_POINT_QUIET("write_lock.before_release");
        // SYNC(write-lock): the next holder sees everything we did.
        while (!ground_.compare_exchange(word_, seen, std::uint64_t{0})) {
            if (owner_of(seen) != owner_of(me)) return;  // scribbled over: no longer ours to clear
        }
        NDSHARE_FAULT_POINT_QUIET("write_lock.after_release");
        if ((seen & kContended) != 0) ground_.wake_all(word_);
    }

    // Is a living process inside? Frees the word of a dead one, once: CAS from the exact word.
    bool held_by_the_living() {
        const std::uint64_t seen = ground_.load_acquire(word_);
        return seen != 0 && !recover_if_dead(seen);
    }

 private:
    bool recover_if_dead(std::uint64_t seen) {
        if (!names_a_row(seen)) throw CorruptBytes("its lock word names no peer");
        if (ground_.owner_is_alive(seen)) return false;
        NDSHARE_FAULT_POINT("write_lock.before_recover");
        // SYNC(write-lock): also hands over what the dead one did; its version says how far it got.
        if (ground_.compare_exchange(word_, seen, std::uint64_t{0})) ground_.wake_all(word_);
        return true;
    }

    layout::Word64& word_;
    Ground& ground_;
};

}  // namespace ndshare::sync
