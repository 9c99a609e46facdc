// schedule/ring_model.h: a ring in the middle of things, for tests of one handshake: who has which
// slot, what was published and who takes part is there before the run.
// Threads: one.
#pragma once
#include <algorithm>
#include <memory>

#include "schedule/stream_model.h"

namespace ndshare::schedule {

inline constexpr std::uint64_t kBegin = 1000;

class Ring {
 public:
    Ring(World& world, std::size_t slots, std::uint64_t begin = kBegin)
        : world_(world),
          control_(world.control().base(), slots),
          state_(std::make_shared<State>()) {
        world.set_initial(control_.words().seq_anchor, begin);
    }
    const layout::StreamControl& control() const { return control_; }
    layout::Word64& word(std::size_t slot) const { return control_.slot(slot).word; }
    layout::Word64& latest() const { return control_.words().latest; }
    std::uint64_t last_latest() const { return world_.last(latest()); }

    // ---- before the run -------------------------------------------------------------------------
    // The frame is the newest.
    void has_newest(std::uint64_t seq, std::size_t slot) {
        has(seq, slot);
        world_.set_initial(latest(), sync::place_word(seq, slot));
    }
    void has(std::uint64_t seq, std::size_t slot) {
        world_.set_initial(word(slot), sync::published_word(seq));
        world_.set_initial(control_.ring(seq), sync::place_word(seq, slot));
    }
    void has_none() { world_.set_initial(latest(), kBegin << sync::kSeqShift); }
    // The row's first process is filling the slot.
    void is_filled_by(std::size_t row, std::size_t slot) {
        world_.set_initial(word(slot),
                           sync::owned_word(sync::SlotKind::busy, sync::owner_word(row, 1), 0));
    }
    void has_end(std::size_t row, std::uint64_t cursor, std::uint64_t pins) {
        layout::End& end = control_.end(state_->ends);
        world_.set_initial(end.owner, sync::owner_word(row, 1));
        world_.set_initial(end.kind, layout::kEndInOrder);
        world_.set_initial(end.cursor, cursor);
        world_.set_initial(end.pins[0], pins);
        world_.set_initial(control_.words().end_high_water, ++state_->ends);
    }

    // ---- what the test knows, and no word says --------------------------------------------------
    void say(int moment) const { state_->moment = std::max(state_->moment, moment); }
    bool is(int moment) const { return state_->moment >= moment; }
    void pause_until(int moment) const {
        while (!is(moment)) world_.pause();
    }

 private:
    struct State {
        std::uint32_t ends = 0;
        int moment = 0;
    };
    World& world_;
    layout::StreamControl control_;
    std::shared_ptr<State> state_;
};

// One process at the ring.
template <class Ground>
struct HandOf {
    HandOf(World& world, const Ring& of, Process& process)
        : who(process),
          ground(world, process.row),
          control(of.control()),
          ring(control, ground),
          ends(control, ground),
          gate(world, process) {}

    // As claim_waiting does, from the moment on at which it says that it waits.
    template <class BeforeIt>
    void wait_for_slot(bool ask, BeforeIt before_it) {
        for (;;) {
            const std::uint32_t room = ends.room();
            before_it();
            ends.need_room();
            if (ring.claim(who.owner, true, ask, memory)) return;
            ground.sleep(control.words().room, room, platform::kForeverNs);
        }
    }

    Process& who;
    Ground ground;
    layout::StreamControl control;
    sync::SlotRing<Ground> ring;
    sync::Ends<Ground> ends;
    Gate<Ground> gate;
    sync::ClaimMemory memory;
    typename sync::SlotRing<Ground>::Place place;
    std::uint64_t lost = 0;
};

}  // namespace ndshare::schedule
