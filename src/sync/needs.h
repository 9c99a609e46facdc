// sync/needs.h: which frames the ends of a stream still want or hold, as a claimer must know.
//
// A look at every end for every frame would move each end's line twice a frame, to the claimer and
// back. But an end goes forward only: once its cursor has passed a frame and its pins do not hold
// it, it never does again, until somebody joins. So one look says up to which frame none is needed,
// and the claims of these frames read the count of joins alone.
// Threads: any. Processes: any. Blocks: no.
#pragma once
#include <bit>
#include <cstdint>
#include <optional>

#include "layout/stream.h"
#include "sync/claim_memory.h"
#include "sync/ends.h"
#include "sync/owner.h"
#include "sync/slot_words.h"

namespace ndshare::sync {

enum class Refusal { none, pinned, unread };
struct Claim {
    std::size_t slot = 0;
    Refusal refusal = Refusal::none;
    std::size_t blocker = 0;  // an end that pins or has not read
    explicit operator bool() const { return refusal == Refusal::none; }
};

template <class Ground>
class Needs {
 public:
    Needs(layout::StreamControl control, Ground& ground) : control_(control), ground_(ground) {}

    // May an end still want the frame of a slot that has this word, or hold it? claim: the slot;
    // then also who is in the way. A full look says it of the frames that follow, too.
    bool is_needed(std::uint64_t word, bool block, Asked& asked, Claim& claim) const {
        const bool published = kind_of(word) == SlotKind::published;
        for (std::size_t look = 0; look < kLooksAtEnds; ++look) {
            // SYNC(joins): after BUSY, whoever joined before it is seen here; and an unchanged
            // count means that the ends are those that were looked at.
            const std::uint32_t joins = ground_.load_seq_cst(control_.words().joins);
            if (published && asked.memory.is_unneeded(seq_of(word), joins)) return false;
            // Up to it; nullopt: nothing to remember. Relaxed: of an older newest, less is known.
            std::optional<std::uint64_t> unneeded =
                seq_of(ground_.load_relaxed(control_.words().latest));
            if (somebody_needs(word, block, asked, claim, unneeded)) return true;
            // SYNC(joins): a process that was forked meanwhile may hold in its end, looked at
            // early, what its parent let go of in one that was looked at late. Relaxed: who sees
            // that it was let go of has the count that was raised before.
            if (ground_.load_relaxed(control_.words().joins) != joins) continue;
            if (unneeded) asked.memory.note_unneeded(*unneeded, joins);
            return false;
        }
        // They come and go too fast to say.
        claim.refusal = Refusal::pinned;
        claim.blocker = layout::kEndCount;
        return true;
    }

 private:
    static constexpr std::size_t kLooksAtEnds = 4;

    bool somebody_needs(std::uint64_t word, bool block, Asked& asked, Claim& claim,
                        std::optional<std::uint64_t>& unneeded) const {
        const bool may_be_unread = block && kind_of(word) == SlotKind::published;
        const std::size_t in_use = ends_in_use(control_, ground_);
        for (std::size_t end = 0; end < in_use; ++end) {
            // SYNC(pin): after BUSY; whoever validated before it is seen here.
            // SYNC(room): before the cursor: an unpin that is seen brings it.
            const std::uint64_t pins = ground_.load_seq_cst(control_.pins(end, claim.slot));
            // SYNC(cursor): after BUSY; whoever joined before it is seen here.
            const std::uint32_t kind = ground_.load_seq_cst(control_.end(end).kind);
            const std::uint64_t cursor = ground_.load_seq_cst(control_.end(end).cursor) & kSeqMask;
            const bool in_order = kind == layout::kEndInOrder;
            const bool pinned = (pins & bit_of(claim.slot)) != 0;
            const bool unread = may_be_unread && (in_order || kind == layout::kEndJoining) &&
                                !(in_order && seq_distance(seq_of(word), cursor) <= 0);
            if ((pinned || unread) && counts(end, asked)) {
                claim.refusal = pinned ? Refusal::pinned : Refusal::unread;
                claim.blocker = end;
                return true;
            }
            if (!unneeded || kind == layout::kEndPublisher) continue;
            const auto passed = passed_by(end, kind, cursor, *unneeded);
            if (passed != unneeded && counts(end, asked)) unneeded = passed;
        }
        return false;
    }

    // The frames up to which number, newest at most, an end neither wants nor holds. nullopt: it
    // may want any. REQUIRES: the cursor was looked at before, as a pin is set before it.
    std::optional<std::uint64_t> passed_by(std::size_t end, std::uint32_t kind,
                                           std::uint64_t cursor, std::uint64_t newest) const {
        std::uint64_t passed = newest;
        const auto at_most = [&](std::uint64_t seq) {
            if (seq_distance(seq, passed) < 0) passed = seq;
        };
        if (kind == layout::kEndInOrder || kind == layout::kEndLatest) {
            at_most(cursor);
        } else if (kind != layout::kEndIdle) {
            return std::nullopt;
        }
        for (std::size_t first = 0; first < control_.slot_count(); first += 64) {
            // SYNC(pin): after the cursor.
            std::uint64_t bits = ground_.load_seq_cst(control_.pins(end, first));
            for (; bits != 0; bits &= bits - 1) {
                const std::size_t slot = first + static_cast<std::size_t>(std::countr_zero(bits));
                if (slot >= control_.slot_count()) return std::nullopt;
                // The number of a frame that is pinned stays here; but FREE has none, and is looked
                // at each time. Relaxed: the cursor, or the kind, brought what its reader saw here.
                const std::uint64_t word = ground_.load_relaxed(control_.slot(slot).word);
                if (kind_of(word) != SlotKind::free) at_most((seq_of(word) - 1) & kSeqMask);
            }
        }
        return passed;
    }

    bool counts(std::size_t end, Asked& asked) const {
        const std::uint64_t owner = ground_.load_acquire(control_.end(end).owner);
        if (!names_a_row(owner) || asked.memory.has(end, owner)) return false;
        if (!asked.hard() || asked.is_alive(end)) return true;
        if (ground_.owner_is_alive(owner)) {
            asked.is_alive(end) = true;
            return true;
        }
        asked.memory.add(end, owner);
        return false;
    }

    layout::StreamControl control_;
    Ground& ground_;
};

}  // namespace ndshare::sync
