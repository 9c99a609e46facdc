// sync/read_turn.h: a reader whose copies were torn asks writers to begin nothing new for a moment.
//
//   0..15 progress | 16 somebody sleeps on the word | 17..31 nonce of the reader; 0: nobody asks
//
// It is a courtesy, not a lock: a writer that sees no progress for one slice (the reader is stopped
// or dead) clears the word and goes on, and the reader, which validates its copy anyway, asks
// again. So a stopped or killed reader costs the writers one slice, once, and nobody has to be
// declared dead. Threads: any. Processes: any. Blocks: ask and let_pass, within slices.
#pragma once
#include <cstdint>

#include "base/fault.h"
#include "layout/word.h"
#include "sync/patience.h"

namespace ndshare::sync {

template <class Ground>
class ReadTurn {
 public:
    static constexpr std::uint32_t kProgressMask = 0xffff, kAwaited = 0x10000;
    static constexpr unsigned kNonceShift = 17;

    ReadTurn(layout::Word32& word, Ground& ground) : word_(word), ground_(ground) {}

    // Lets a reader that asked go first, once: until it is done, or stands still for a slice in
    // which it could have copied (can_begin(): no living writer is inside), or our own time is
    // over. Writers call it before they take the lock, readers before they ask.
    template <class Quiet>
    void let_pass(Patience& patience, Quiet quiet) {
        // Relaxed, here and below: a late look lets one more write go first, and what is changed on
        // its strength is changed from exactly that word.
        std::uint32_t seen = ground_.load_relaxed(word_);
        const std::uint32_t nonce = seen >> kNonceShift;
        while (seen != 0 && seen >> kNonceShift == nonce && !patience.over()) {
            if (!ground_.compare_exchange(word_, seen, seen | kAwaited)) continue;
            seen |= kAwaited;
            const std::uint64_t before = quiet();
            const std::int64_t slice_ns = patience.turn_slice_ns();
            ground_.sleep(word_, seen, slice_ns);
            patience.ask_whether_to_go_on();
            const std::uint32_t now = ground_.load_relaxed(word_);
            if (now == seen && before != 0 && slice_ns == kSliceFirstNs && quiet() == before) {
                clear(seen);
                return;
            }
            seen = now;
        }
    }

    // Asks, unless the turn is ours already; false: another reader's comes first (let_pass, then
    // again).
    bool ask(std::uint32_t nonce) {
        mine_ = nonce << kNonceShift;
        if (is_mine(ground_.load_relaxed(word_))) return true;
        std::uint32_t expected = 0;
        NDSHARE_FAULT_POINT("read_turn.before_ask");
        return ground_.compare_exchange(word_, expected, mine_);
    }
    // Called between pieces of a copy, so that a long one is not taken for a stopped one.
    void progress() {
        std::uint32_t seen = ground_.load_relaxed(word_);
        if (!is_mine(seen)) return;  // cleared by a writer that lost patience: the copy may be torn
        const std::uint32_t next = (seen & ~kProgressMask) | ((seen + 1) & kProgressMask);
        ground_.compare_exchange(word_, seen, next);  // lost: somebody set kAwaited; next time
    }
    void done() {
        std::uint32_t seen = ground_.load_relaxed(word_);
        while (is_mine(seen)) {
            if (!ground_.compare_exchange(word_, seen, std::uint32_t{0})) continue;
            if ((seen & kAwaited) != 0) ground_.wake_all(word_);
            return;
        }
    }

 private:
    bool is_mine(std::uint32_t word) const {
        return mine_ != 0 && word >> kNonceShift == mine_ >> kNonceShift;
    }
    void clear(std::uint32_t seen) {
        if (ground_.compare_exchange(word_, seen, std::uint32_t{0})) ground_.wake_all(word_);
    }

    layout::Word32& word_;
    Ground& ground_;
    std::uint32_t mine_ = 0;
};

}  // namespace ndshare::sync
