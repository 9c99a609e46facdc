// sync/ends.h: a handle's place in a stream or a service, taken and let go.
//
// An end names the process that has it by the owner word of its row, so it lasts as long as the
// process's mapping and no longer. The next one who takes it cleans it. Threads: any. Processes:
// any. Blocks: no. A crash leaves an end whose owner is dead: it counts for nothing.
#pragma once
#include <cstdint>

#include "base/check.h"
#include "base/fault.h"
#include "layout/stream.h"
#include "sync/high_water.h"
#include "sync/owner.h"

namespace ndshare::sync {

// Every end that anybody has or had is below it.
template <class Control, class Ground>
std::size_t ends_in_use(const Control& control, const Ground& ground) {
    // Relaxed: whoever sees in the count of joins that an end was taken has its mark; others want a
    // figure.
    return std::min<std::size_t>(ground.load_relaxed(control.words().end_high_water),
                                 layout::kEndCount);
}

// Control: of a stream, or of a service.
template <class Ground, class Control = layout::StreamControl>
class Ends {
 public:
    Ends(Control control, Ground& ground) : control_(control), ground_(ground) {}

    // A free end, or one of the dead, cleaned. Throws Invalid when all are in use.
    std::size_t take(std::uint64_t owner, std::uint32_t kind) {
        for (std::size_t index = 0; index < layout::kEndCount; ++index) {
            layout::End& end = control_.end(index);
            std::uint64_t seen = ground_.load_acquire(end.owner);
            if (names_a_row(seen) && ground_.owner_is_alive(seen)) continue;
            // SYNC(pin): what the former one left counts as ours until it is cleaned: too
            // much is pinned for a moment, never too little.
            if (!ground_.compare_exchange_seq_cst(end.owner, seen, owner)) continue;
            NDSHARE_FAULT_POINT("ends.after_take");
            for (std::size_t word = 0; word < control_.pin_words(); ++word) {
                // SYNC(pin): as the former one's unpin: whoever sees it has the end of his reads.
                ground_.store_release(end.pins[word], std::uint64_t{0});
            }
            // Relaxed, all of them: published by kind below.
            ground_.store_relaxed(end.cursor, std::uint64_t{0});
            ground_.store_relaxed(end.count, std::uint64_t{0});
            ground_.store_relaxed(end.flags, std::uint32_t{0});
            raise_high_water(ground_, control_.words().end_high_water, index);
            // SYNC(cursor): a claimer that does not see it has made its slot BUSY before.
            ground_.store_seq_cst(end.kind, kind);
            announce();
            return index;
        }
        throw Invalid("too many handles: " + std::to_string(layout::kEndCount) +
                      " take part already; close one of them");
    }

    // An end for a process that is about to be born, with the pins that this one has: what they
    // hold is held by both before the child exists.
    std::size_t take_with_pins_of(std::size_t index, std::uint64_t owner) {
        const std::size_t taken = take(owner, layout::kEndIdle);
        layout::End &from = control_.end(index), &to = control_.end(taken);
        for (std::size_t word = 0; word < control_.pin_words(); ++word) {
            // Relaxed, both: our own bits, and published by the count below.
            ground_.store_relaxed(to.pins[word], ground_.load_relaxed(from.pins[word]));
        }
        // SYNC(joins): before any of them is let go of. A claimer that looked at the new end before
        // these pins, and at the old one after, sees the count change.
        announce();
        return taken;
    }

    // REQUIRES: nothing is pinned.
    void let_go(std::size_t index, std::uint64_t owner) noexcept {
        layout::End& end = control_.end(index);
        ground_.store_seq_cst(end.kind, static_cast<std::uint32_t>(layout::kEndIdle));
        std::uint64_t seen = owner;
        (void)ground_.compare_exchange_seq_cst(end.owner, seen, std::uint64_t{0});
        announce();
    }

    // How many living ends of one kind; a stranger's pid for messages.
    std::size_t count(std::uint32_t kind, std::uint32_t* pid = nullptr) const {
        std::size_t found = 0;
        const std::size_t in_use = ends_in_use(control_, ground_);
        for (std::size_t index = 0; index < in_use; ++index) {
            layout::End& end = control_.end(index);
            // Relaxed, both: who waits for peers has acquired joins; others want a figure.
            if (ground_.load_relaxed(end.kind) != kind) continue;
            const std::uint64_t owner = ground_.load_relaxed(end.owner);
            if (!names_a_row(owner) || !ground_.owner_is_alive(owner)) continue;
            ++found;
            // Relaxed: for messages.
            if (pid != nullptr) {
                *pid = ground_.load_relaxed(control_.common().row(row_of(owner)).pid);
            }
        }
        return found;
    }
    std::size_t subscriber_count() const {
        return count(layout::kEndInOrder) + count(layout::kEndLatest) + count(layout::kEndJoining);
    }

    // ---- room: what a `block` publisher waits for ---------------------------------------------
    // After a slot was unpinned, an end let go, or a frame read.
    void tell_room() noexcept {
        auto& words = control_.words();
        // SYNC(room): our change first, then the look whether a publisher waits for it.
        if (ground_.load_seq_cst(words.need_room) == 0) return;
        ground_.exchange_seq_cst(words.need_room, std::uint32_t{0});
        ground_.add_seq_cst(words.room, std::uint32_t{1});
        ground_.wake_all(words.room);
    }
    // SYNC(room): a flag that is set after this look is not cleared for the count it found.
    std::uint32_t room() const { return ground_.load_acquire(control_.words().room); }
    // SYNC(room): the flag first, then the publisher's look at slots, pins and cursors; a fence, as
    // some of these looks are no more than acquire.
    void need_room() {
        ground_.store_seq_cst(control_.words().need_room, std::uint32_t{1});
        ground_.fence_seq_cst();
    }

    // After an end was taken, let go, or its kind changed so that more is held back.
    void announce() noexcept {
        auto& words = control_.words();
        // SYNC(joins): whoever waits for peers looks again; a claimer that missed it has made its
        // slot BUSY before what the newcomer looks at next.
        ground_.add_seq_cst(words.joins, std::uint32_t{1});
        ground_.wake_all(words.joins);
        tell_room();
    }
    std::uint32_t joins() const { return ground_.load_acquire(control_.words().joins); }

 private:
    Control control_;
    Ground& ground_;
};

}  // namespace ndshare::sync
