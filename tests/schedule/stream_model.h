// schedule/stream_model.h: publishers and subscribers of one stream, and what a test knows about
// them beyond the words they share.
//
// A frame is kFrameWords words that prove themselves: word k of value number id is id * kFrameWords
// + k. Whoever reads a number first says which value it has; all others have to agree.
// Threads: one.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "schedule/sim_ground.h"
#include "sync/claim_wait.h"
#include "sync/ends.h"
#include "sync/patience.h"
#include "sync/slot_ring.h"

namespace ndshare::schedule {

inline constexpr std::size_t kFrameWords = 2;

struct StreamTruth {
    std::size_t slot_count;
    std::uint64_t first_seq;
    std::map<std::uint64_t, std::uint64_t> value_of_seq{};
    std::uint64_t value_count = 0;
    std::uint64_t published = 0;  // publish() came back
    std::uint64_t got = 0, lost = 0;

    StreamTruth(World& world, std::size_t slots, std::uint64_t first)
        : slot_count(slots), first_seq(first) {
        auto& words = world.control().words();
        world.set_initial(words.latest, first << sync::kSeqShift);
        world.set_initial(words.seq_anchor, first);
        world.set_initial(words.first_seq, first);
    }
};

template <class Ground>
class StreamPeer {
 public:
    StreamPeer(World& world, StreamTruth& truth, Process& who)
        : world_(world),
          truth_(truth),
          who_(who),
          ground_(world, who.row),
          control_(world.control().base(), truth.slot_count),
          ring_(control_, ground_),
          ends_(control_, ground_) {}

    sync::SlotRing<Ground>& ring() { return ring_; }
    sync::Patience patient() { return {platform::kForeverNs, spin_}; }

    // ---- publishing -----------------------------------------------------------------------------
    // false: no slot.
    bool publish(bool block = false, bool discard = false) {
        typename sync::SlotRing<Ground>::Claim claim;
        if (block) {
            auto patience = patient();
            claim = sync::claim_waiting(ring_, ends_, control_.words().room, ground_, who_.owner,
                                        claims_, patience);
        } else {
            claim = ring_.claim(who_.owner, false, true, claims_);
        }
        if (!claim) return false;
        const std::uint64_t value = ++truth_.value_count;
        for (std::size_t k = 0; k < kFrameWords; ++k) {
            ground_.store_relaxed(word(claim.slot, k), value * kFrameWords + k);
        }
        if (discard) {
            ring_.give_back(claim.slot);
            return true;
        }
        const auto seq = ring_.publish(who_.owner, claim.slot);
        world_.require(seq.has_value(), "the stream ended by itself");
        ++truth_.published;
        note(*seq, value);
        ends_.tell_room();
        return true;
    }

    // ---- subscribing ----------------------------------------------------------------------------
    void join(std::uint32_t kind) {
        end_ = ends_.take(who_.owner, layout::kEndJoining);
        cursor_ = kind == layout::kEndLatest
                      ? sync::full_seq(sync::seq_of(ring_.latest()), ring_.anchor()) - 1
                      : ring_.before_oldest();
        kind_ = kind;
        ground_.store_seq_cst(control_.end(end_).cursor, cursor_);
        ground_.store_seq_cst(control_.end(end_).kind, kind);
        ends_.tell_room();
    }
    std::uint64_t cursor() const { return cursor_; }
    std::uint64_t lost() const { return lost_; }

    // One frame, read twice with others in between; false: none there.
    bool get() {
        if (!take()) return false;
        let_go_of(0);
        return true;
    }
    // The same, and it is held, read once more, until the next but so many came.
    bool get_and_hold(std::size_t held_at_most) {
        if (!take()) return false;
        if (held_.size() > held_at_most) let_go_of(0);
        return true;
    }
    // A frame by its number, held.
    bool get_exactly(std::uint64_t seq) {
        typename sync::SlotRing<Ground>::Place place;
        if (ring_.take_exactly(end_, seq, place) != sync::SlotRing<Ground>::Exact::frame) {
            return false;
        }
        hold(place);
        return true;
    }
    // What is held is held by two ends, as in a fork, and then by the second one alone.
    void move_to_another_end() {
        const std::size_t other = ends_.take_with_pins_of(end_, who_.owner);
        for (const auto& place : held_) ring_.unpin(end_, place.slot);
        end_ = other;
    }
    void let_go_of(std::size_t index) {
        const auto place = held_[index];
        check(place);
        held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(index));
        ring_.unpin(end_, place.slot);
    }
    void let_go_of_all() {
        while (!held_.empty()) let_go_of(0);
    }
    // As a forked child's end for refs begins to take part.
    void begin_with_refs() {
        ground_.store_seq_cst(control_.end(end_).kind,
                              static_cast<std::uint32_t>(layout::kEndRefs));
        ends_.announce();
    }
    // An end before its own, for whoever comes next.
    void keep_an_end_free() { kept_ = ends_.take(who_.owner, layout::kEndIdle); }
    void free_the_end() { ends_.let_go(kept_, who_.owner); }
    void take_end(std::uint32_t kind) { end_ = ends_.take(who_.owner, kind); }
    // The same by copying without a pin.
    bool copy() {
        std::array<std::uint64_t, kFrameWords> words{};
        typename sync::SlotRing<Ground>::Place from;
        const auto outcome = ring_.copy_next(cursor_, lost_, [&](const auto& place) {
            from = place;
            for (std::size_t k = 0; k < kFrameWords; ++k) {
                words[k] = ground_.load_relaxed(word(place.slot, k));
            }
        });
        ground_.store_seq_cst(control_.end(end_).cursor, cursor_);
        ends_.tell_room();
        if (outcome != sync::SlotRing<Ground>::Outcome::frame) return false;
        prove(words, from.seq);
        ++truth_.got;
        return true;
    }
    // Sleeps until there is one.
    void wait_and_get() {
        auto patience = patient();
        for (;;) {
            const std::uint64_t seen = ring_.latest();
            const bool got = get();
            world_.require(lost_ == 0, "a block stream lost a frame");
            if (got) return;
            sync::Sleepers sleepers(control_.words().need_wake, ground_);
            if (!sleepers.announce(control_.words().latest, seen)) continue;
            ground_.sleep(control_.words().latest, static_cast<std::uint32_t>(seen),
                          patience.next_slice_ns());
            patience.ask_whether_to_go_on();
        }
    }
    void leave() { ends_.let_go(end_, who_.owner); }

 private:
    layout::Word64& word(std::size_t slot, std::size_t k) {
        return world_.payload(slot * kFrameWords + k);
    }
    void note(std::uint64_t seq, std::uint64_t value) {
        const auto [at, is_new] = truth_.value_of_seq.emplace(seq, value);
        if (at->second != value) {
            world_.violate("a wrong frame was handed out: number " + std::to_string(seq) +
                           " stands for two");
        }
    }
    bool take() {
        typename sync::SlotRing<Ground>::Place place;
        const std::uint64_t before = cursor_;
        const auto outcome = kind_ == layout::kEndLatest
                                 ? ring_.take_latest(end_, cursor_, place)
                                 : ring_.take_next(end_, cursor_, lost_, place);
        ground_.store_release(control_.end(end_).cursor, cursor_);
        if (outcome != sync::SlotRing<Ground>::Outcome::frame) return false;
        world_.require(sync::seq_distance(place.seq, before) > 0, "a frame came twice");
        hold(place);
        return true;
    }
    void hold(const typename sync::SlotRing<Ground>::Place& place) {
        held_.push_back(place);
        check(place);
        ++truth_.got;
    }
    void check(const typename sync::SlotRing<Ground>::Place& place) {
        std::array<std::uint64_t, kFrameWords> words{};
        for (std::size_t k = 0; k < kFrameWords; ++k) {
            words[k] = ground_.load_relaxed(word(place.slot, k));
        }
        prove(words, place.seq);
    }
    void prove(const std::array<std::uint64_t, kFrameWords>& words, std::uint64_t seq) {
        const std::uint64_t value = words[0] / kFrameWords;
        for (std::size_t k = 0; k < kFrameWords; ++k) {
            if (words[k] != value * kFrameWords + k)
                world_.violate("a wrong frame was handed out: torn");
        }
        note(seq, value);
    }

    World& world_;
    StreamTruth& truth_;
    Process& who_;
    Ground ground_;
    layout::StreamControl control_;
    sync::SlotRing<Ground> ring_;
    sync::Ends<Ground> ends_;
    sync::SpinBudget spin_{0};
    sync::ClaimMemory claims_;
    std::size_t end_ = 0, kept_ = 0;
    std::uint64_t cursor_ = 0, lost_ = 0;
    std::uint32_t kind_ = 0;
    std::vector<typename sync::SlotRing<Ground>::Place> held_{};
};

// Shut until so many have opened it; a sleep, so that an exhaustive search need not go on by force.
template <class Ground>
class Gate {
 public:
    Gate(World& world, const Process& who) : world_(world), ground_(world, who.row) {}
    void open() {
        ground_.add_seq_cst(world_.scratch(0), std::uint64_t{1});
        ground_.wake_all(world_.scratch(0));
    }
    void pass(std::uint64_t count = 1) {
        for (;;) {
            const std::uint64_t opened = ground_.load_acquire(world_.scratch(0));
            if (opened >= count) return;
            ground_.sleep(world_.scratch(0), static_cast<std::uint32_t>(opened),
                          platform::kForeverNs);
        }
    }

 private:
    World& world_;
    Ground ground_;
};

}  // namespace ndshare::schedule
