// sync/slot_ring.h: a stream's frames: claimed, published, found, pinned.
//
// Invariants: (1) `latest` {number, slot} changes by CAS only, its number by one: the CAS gives the
// number and publishes. (2) Frames before `latest` are in the history ring; `latest` itself may not
// be yet: whoever publishes next puts it there first. (3) A slot is filled only by the owner of its
// BUSY word, who after writing it knows that no living end pins it (sync/needs.h). (4) A reader
// looks at a frame's bytes only after it pinned the slot and then saw its number there: READY or
// PUBLISHED. (5) The newest frame's slot is never claimed. (6) In `block` a frame is overwritten
// only when the cursors of all living in-order ends have reached it.
// Why: docs/design/streams.md. tests/schedule searches this code exhaustively, with kills.
// Threads: any; an End belongs to one handle. Processes: any. Blocks: no, nothing here waits. A
// crash leaves BUSY or READY words, which the next claimer that needs a slot resolves.
#pragma once
#include <cstdint>
#include <optional>

#include "base/check.h"
#include "base/fault.h"
#include "layout/stream.h"
#include "platform/cpu.h"
#include "sync/claim_memory.h"
#include "sync/ends.h"
#include "sync/needs.h"
#include "sync/owner.h"
#include "sync/sleepers.h"
#include "sync/slot_words.h"

namespace ndshare::sync {

template <class Ground>
class SlotRing {
 public:
    SlotRing(layout::StreamControl control, Ground& ground) : control_(control), ground_(ground) {}

    // SYNC(latest): sees all that the frame's publisher did before it committed.
    std::uint64_t latest() const { return ground_.load_acquire(control_.words().latest); }

    // ---- publishers -----------------------------------------------------------------------------
    using Refusal = sync::Refusal;
    using Claim = sync::Claim;

    // A slot to fill, the oldest that nobody needs. block: also unread frames are needed. me: the
    // owner word of this process. ask: the kernel too, who of those that are in the way is dead.
    Claim claim(std::uint64_t me, bool block, bool ask, ClaimMemory& memory) {
        const std::uint64_t newest = latest();
        const std::uint64_t oldest = seq_of(newest) - (control_.slot_count() - 1);
        Asked soft(memory, false);
        // Usually every slot has one of the last frames. Relaxed, both: a guess, and what the CAS
        // of the word has to find.
        const std::uint64_t entry = ground_.load_relaxed(control_.ring(oldest));
        if (slot_in_range(entry)) {
            Claim claim{slot_of(entry)};
            platform::fetch_for_writing(&control_.slot(claim.slot));  // for look and CAS
            const std::uint64_t word = ground_.load_relaxed(control_.slot(claim.slot).word);
            if (word == published_word(oldest) && try_claim(me, block, word, soft, claim)) {
                return claim;
            }
        }
        if (ask && memory.is_time_to_ask()) soft.ask();
        if (Claim claim = claim_any(me, block, soft); claim || !ask) return claim;
        Asked hard(memory, true);
        return claim_any(me, block, hard);
    }

    // The slot was not filled, or its frame is not wanted.
    void give_back(std::size_t slot) {
        // SYNC(slot-word), and SYNC(room): before the caller's look whether a publisher waits.
        ground_.store_seq_cst(control_.slot(slot).word, std::uint64_t{0});
    }

    // REQUIRES: slot is me's BUSY one, its bytes and stamps (but for the number) are there. The
    // number it got; nullopt: the stream has ended, or was sealed. The caller then tells of room.
    std::optional<std::uint64_t> publish(std::uint64_t me, std::size_t slot) {
        auto& line = control_.slot(slot);
        auto& words = control_.words();
        std::uint64_t seen = latest();
        bool slept = false;
        Sleepers sleepers(words.need_wake, ground_);
        for (;;) {
            if ((seen & kMarks) != 0) return std::nullopt;
            put_into_history(seen);
            // Relaxed: within 2^47 of every number that is in use.
            const std::uint64_t next = full_seq(seq_of(seen), anchor()) + 1;
            ground_.store_relaxed(line.seq, next);  // published by the CAS below
            // SYNC(slot-word): from here the slot tells its number, should we die after the CAS.
            ground_.store_release(line.word, owned_word(SlotKind::ready, me, next));
            NDSHARE_FAULT_POINT_QUIET("slot_ring.before_commit");
            slept |= sleepers.take();
            // SYNC(latest)
            if (ground_.compare_exchange_seq_cst(words.latest, seen, place_word(next, slot))) {
                NDSHARE_FAULT_POINT_QUIET("slot_ring.after_commit");
                ground_.store_release(line.word, published_word(next));  // SYNC(slot-word)
                NDSHARE_FAULT_POINT_QUIET("slot_ring.before_history");
                // SYNC(room): who sleeps over READY saw a later number, whose publisher found ours
                // in the history: if from us, with PUBLISHED; if not, the fence orders it.
                if (!put_into_history(place_word(next, slot))) ground_.fence_seq_cst();
                if ((next & (kAnchorStep - 1)) == 0) ground_.store_relaxed(words.seq_anchor, next);
                NDSHARE_FAULT_POINT_QUIET("slot_ring.before_wake");
                if (sleepers.anybody(slept)) ground_.wake_all(words.latest);
                fetch_ahead(next + 1);
                return next;
            }
        }
    }

    // No frame follows under this memory; also true when somebody else said it before.
    void end() { mark(kEndedMark); }
    // The same, for memory that loses its name: whoever was about to publish is told.
    void seal() { mark(kSealedMark); }

    // ---- subscribers ----------------------------------------------------------------------------
    struct Place {
        std::size_t slot = 0;
        std::uint64_t seq = 0;  // full
    };
    enum class Outcome { frame, nothing, ended };

    // The frame after cursor, pinned; when it is gone, the oldest that is still there. The cursor
    // moves, lost grows by those that were skipped.
    Outcome take_next(std::size_t end, std::uint64_t& cursor, std::uint64_t& lost, Place& place) {
        return next_by(cursor, lost, place, [&](std::size_t slot, std::uint64_t wanted) {
            return pin_patiently(end, slot, wanted);
        });
    }

    // The same without a pin, for a copy: copy(place) copies bytes that may be changing, and what
    // was overwritten meanwhile counts as lost.
    template <class Copy>
    Outcome copy_next(std::uint64_t& cursor, std::uint64_t& lost, Copy copy) {
        Place place;
        return next_by(cursor, lost, place, [&](std::size_t slot, std::uint64_t wanted) {
            if (!is_there(slot, wanted)) return false;
            copy(Place{slot, wanted});
            // SYNC(busy-bytes): a byte stored by the next owner makes his BUSY visible below.
            ground_.fence_acquire();
            // Relaxed: after the fence.
            return shows(ground_.load_relaxed(control_.slot(slot).word), wanted);
        });
    }

    // The newest frame, pinned, if it is not the one of cursor.
    Outcome take_latest(std::size_t end, std::uint64_t& cursor, Place& place) {
        for (;;) {
            const std::uint64_t newest = latest();
            const std::uint64_t seq = full_seq(seq_of(newest), cursor);
            if (!has_slot(newest) || seq_distance(seq, cursor) <= 0) {
                return is_ended(newest) ? Outcome::ended : Outcome::nothing;
            }
            // Its slot is not claimed while it is the newest: in vain means that a newer one came.
            if (slot_in_range(newest) && pin(end, slot_of(newest), seq)) {
                place = {slot_of(newest), seq};
                cursor = seq;
                return Outcome::frame;
            }
            if (latest() == newest) throw CorruptBytes("the newest frame is in no slot");
        }
    }

    // A cheap look for spinning: may the frame after cursor be there? It reads one line that
    // changes with the frames, and leaves the line of `latest` to its publishers.
    bool has_next(std::uint64_t cursor) const {
        // Relaxed: whoever takes the frame looks again.
        const std::uint64_t place = ground_.load_relaxed(control_.ring(cursor + 1));
        return leads_to(place, cursor + 1);
    }

    // Exactly this frame, pinned. REQUIRES: seq is near those in use.
    enum class Exact { frame, not_yet, gone };
    Exact take_exactly(std::size_t end, std::uint64_t seq, Place& place) {
        // Before the look at the slots: what comes after it is not called gone.
        if (seq_distance(seq_of(latest()), seq & kSeqMask) < 0) return Exact::not_yet;
        std::size_t slot = 0;
        if (!find(seq, slot) || !pin_patiently(end, slot, seq)) return Exact::gone;
        place = {slot, seq};
        return Exact::frame;
    }

    // Where a newcomer begins: the number before the oldest frame from which on none is missing.
    // (An older one may be pinned while those after it were overwritten: not lost to who came
    // later.) REQUIRES of an in-order end in `block`: its kind is joining, so that none goes
    // meanwhile.
    std::uint64_t before_oldest() const {
        // SYNC(cursor): a frame that is not counted here came after our end said that it joins, so
        // nobody takes its slot; an older look could begin before a frame that is gone already.
        const std::uint64_t newest = ground_.load_seq_cst(control_.words().latest);
        std::uint64_t seq = full_seq(seq_of(newest), anchor());
        std::size_t slot = 0;
        // SYNC(cursor): after our end says that it joins, so that a slot that was made BUSY before
        // is seen to be. It ends, as each slot shows one number.
        while (find(seq, slot) && shows(ground_.load_seq_cst(control_.slot(slot).word), seq)) {
            --seq;
        }
        return seq;
    }

    bool where(std::uint64_t seq, std::size_t& slot) const { return find(seq, slot); }
    bool is_there(std::size_t slot, std::uint64_t seq) const {
        return shows(ground_.load_acquire(control_.slot(slot).word), seq);
    }

    // A publisher that waits for room is told.
    void unpin(std::size_t end, std::size_t slot) {
        // SYNC(pin): the claimer sees that our reads are over.
        ground_.clear_bits_seq_cst(control_.pins(end, slot), bit_of(slot));
        Ends<Ground>(control_, ground_).tell_room();
    }

    // A full number near all that are in use.
    std::uint64_t anchor() const { return ground_.load_relaxed(control_.words().seq_anchor); }
    // The newest frame's full number; the one before the first when there is none yet.
    std::uint64_t last_seq() const { return full_seq(seq_of(latest()), anchor()); }

 private:
    static constexpr std::size_t kBusyLooks = 4;
    static constexpr std::uint64_t kAnchorStep = std::uint64_t{1} << 20;

    void mark(std::uint64_t which) {
        auto& words = control_.words();
        std::uint64_t seen = latest();
        while ((seen & which) == 0 &&
               !ground_.compare_exchange_seq_cst(words.latest, seen, seen | which)) {
        }
        ground_.wake_all(words.latest);
    }

    bool slot_in_range(std::uint64_t place) const { return slot_of(place) < control_.slot_count(); }

    bool try_claim(std::uint64_t me, bool block, std::uint64_t word, Asked& asked, Claim& claim) {
        auto& slot_word = control_.slot(claim.slot).word;
        claim.refusal = Refusal::none;
        const Needs<Ground> needs(control_, ground_);
        // A look before: a needed frame should not seem to be gone, not even for a moment.
        if (needs.is_needed(word, block, asked, claim)) return false;
        const std::uint64_t busy = owned_word(SlotKind::busy, me, seq_of(word));
        // SYNC(pin): BUSY first, then the look at the pins. SYNC(slot-word)
        if (!ground_.compare_exchange_seq_cst(slot_word, word, busy)) {
            claim.refusal = Refusal::pinned;  // another publisher was faster
            return false;
        }
        NDSHARE_FAULT_POINT_QUIET("slot_ring.after_busy");
        bool needed = true;
        try {
            needed = needs.is_needed(word, block, asked, claim);
        } catch (...) {  // the kernel could not be asked
            (void)put_back(claim.slot, word);
            throw;
        }
        if (needed) return put_back(claim.slot, word);
        // SYNC(busy-bytes): whoever copies a byte stored after this sees BUSY, or what follows it.
        ground_.fence_release();
        return true;
    }

    // Another publisher may have slept on our BUSY, though nobody needs the frame any more.
    bool put_back(std::size_t slot, std::uint64_t word) {
        ground_.store_seq_cst(control_.slot(slot).word, word);  // SYNC(slot-word), SYNC(room)
        Ends<Ground>(control_, ground_).tell_room();
        return false;
    }

    Claim claim_any(std::uint64_t me, bool block, Asked& asked) {
        const std::size_t slots = control_.slot_count();
        Claim claim{0, Refusal::pinned, layout::kEndCount};
        bool unread = false;
        // From the oldest to the newest; FREE slots are the oldest of all.
        std::optional<std::uint64_t> tried;
        for (;;) {
            const std::uint64_t newest = latest();
            std::optional<std::size_t> best;
            std::uint64_t best_word = 0;
            for (std::size_t slot = 0; slot < slots; ++slot) {
                const std::uint64_t word = settled(slot, asked);
                if (kind_of(word) == SlotKind::free) {
                    Claim free{slot};
                    if (try_claim(me, block, word, asked, free)) return free;
                    claim = free;
                    continue;
                }
                if (kind_of(word) != SlotKind::published) continue;
                // Older than what was the newest before this look: it never is the newest again.
                if (seq_distance(seq_of(word), seq_of(newest)) >= 0) continue;
                if (tried && seq_distance(seq_of(word), *tried) <= 0) continue;
                if (!best || seq_distance(seq_of(word), seq_of(best_word)) < 0) {
                    best = slot;
                    best_word = word;
                }
            }
            if (!best || unread) return claim;
            Claim attempt{*best};
            if (try_claim(me, block, best_word, asked, attempt)) return attempt;
            claim = attempt;
            unread = attempt.refusal == Refusal::unread;  // so are all that are newer
            tried = seq_of(best_word);
        }
    }

    // A slot's word, after what a dead owner left was resolved.
    std::uint64_t settled(std::size_t slot, Asked& asked) {
        auto& line = control_.slot(slot);
        std::uint64_t word = ground_.load_acquire(line.word);
        const SlotKind kind = kind_of(word);
        if (!asked.hard() || (kind != SlotKind::busy && kind != SlotKind::ready)) return word;
        const std::size_t row = word >> 8 & 0xff;
        if (row >= layout::kRowCount) throw CorruptBytes("a slot's word names no peer");
        // SYNC(row-epoch)
        const std::uint64_t epoch = ground_.load_acquire(control_.common().row(row).epoch);
        if ((epoch & kSlotEpochMask) == (word >> 2 & kSlotEpochMask) &&
            ground_.owner_is_alive(owner_word(row, epoch))) {
            return word;
        }
        const std::uint64_t after = kind == SlotKind::ready && was_committed(seq_of(word), slot)
                                        ? published_word(seq_of(word))
                                        : std::uint64_t{0};
        NDSHARE_FAULT_POINT_QUIET("slot_ring.before_resolve");
        // SYNC(slot-word): also hands over what the dead one did.
        return ground_.compare_exchange(line.word, word, after) ? after : word;
    }

    // Of a dead publisher's READY: it cannot commit any more. latest first: once it has passed the
    // number, the history has it.
    bool was_committed(std::uint64_t seq, std::size_t slot) const {
        const std::uint64_t newest = latest();
        if ((newest & ~kMarks) == place_word(seq, slot)) return true;
        return ground_.load_acquire(control_.ring(seq)) == place_word(seq, slot);
    }

    // false: somebody else put it there.
    bool put_into_history(std::uint64_t place) {
        place &= ~kMarks;
        if (!has_slot(place)) return false;
        auto& entry = control_.ring(seq_of(place));
        platform::fetch_for_writing(&entry);  // one transfer for look and CAS
        std::uint64_t seen = ground_.load_acquire(entry);
        // Only over an older one: a helper may come late.
        while (!has_slot(seen) || seq_distance(seq_of(seen), seq_of(place)) < 0) {
            // SYNC(history)
            if (ground_.compare_exchange(entry, seen, place)) return true;
        }
        return false;
    }

    // Slots that the next claims will make theirs, while the caller does something else.
    void fetch_ahead(std::uint64_t next) const {
        for (std::uint64_t k = 0; k < 2; ++k) {
            const auto& entry = control_.ring(next + k - control_.slot_count());
            const std::uint64_t place = ground_.load_relaxed(entry);  // a guess
            if (!has_slot(place) || !slot_in_range(place)) return;
            platform::fetch_for_writing(&control_.slot(slot_of(place)));
        }
    }

    // The slot that a frame went to, if it is not too old to be known.
    bool find(std::uint64_t seq, std::size_t& slot) const {
        // SYNC(history)
        std::uint64_t place = ground_.load_acquire(control_.ring(seq));
        if (!leads_to(place, seq)) {
            place = latest() & ~kMarks;
            if (!leads_to(place, seq)) {
                // It may have become history between the two looks.
                place = ground_.load_acquire(control_.ring(seq));
                if (!leads_to(place, seq)) return false;
            }
        }
        if (!slot_in_range(place)) throw CorruptBytes("the ring names a slot that is not there");
        slot = slot_of(place);
        return true;
    }

    bool pin(std::size_t end, std::size_t slot, std::uint64_t seq) {
        // SYNC(pin): the bit first, then the look at the word.
        ground_.set_bits_seq_cst(control_.pins(end, slot), bit_of(slot));
        NDSHARE_FAULT_POINT_QUIET("slot_ring.after_pin");
        // SYNC(slot-word): sees the frame's bytes and stamps.
        if (shows(ground_.load_seq_cst(control_.slot(slot).word), seq)) return true;
        unpin(end, slot);
        return false;
    }

    // The frame after cursor, as take(slot, number) takes it, or the oldest after it.
    template <class Take>
    Outcome next_by(std::uint64_t& cursor, std::uint64_t& lost, Place& place, Take take) {
        for (;;) {
            const std::uint64_t wanted = cursor + 1;
            std::size_t slot = 0;
            if (find(wanted, slot) && take(slot, wanted)) {
                place = {slot, wanted};
                cursor = wanted;
                return Outcome::frame;
            }
            const std::uint64_t newest = latest();
            const std::int64_t ahead = seq_distance(seq_of(newest), cursor & kSeqMask);
            if (ahead <= 0 || !has_slot(newest)) {
                return is_ended(newest) ? Outcome::ended : Outcome::nothing;
            }
            // It came between the two looks.
            if (find(wanted, slot) && is_there(slot, wanted)) continue;
            // Gone. Nothing older than the history is there either.
            const auto history = static_cast<std::int64_t>(control_.ring_count());
            const std::int64_t skipped = ahead > history ? ahead - history + 1 : 1;
            cursor += static_cast<std::uint64_t>(skipped);
            lost += static_cast<std::uint64_t>(skipped);
        }
    }

    // A claimer that meets a pin, or a newcomer, puts the frame back the next moment.
    bool pin_patiently(std::size_t end, std::size_t slot, std::uint64_t seq) {
        for (std::size_t look = 0; look < kBusyLooks; ++look) {
            if (pin(end, slot, seq)) return true;
            // Relaxed: BUSY, or back by now: the next pin tells.
            const std::uint64_t word = ground_.load_relaxed(control_.slot(slot).word);
            if (seq_of(word) != (seq & kSeqMask)) return false;
        }
        return false;
    }

    layout::StreamControl control_;
    Ground& ground_;
};

}  // namespace ndshare::sync
