// support/one_ring.h: a stream's ring of four slots for one thread's tests, with its publisher's
// memory. Threads: one.
#pragma once
#include <gtest/gtest.h>

#include "support/control_memory.h"
#include "support/plain_ground.h"
#include "sync/slot_ring.h"

namespace ndshare::support {

using Ring = sync::SlotRing<PlainGround>;

inline constexpr std::size_t kSlots = 4;

class OneRing : public testing::Test {
 protected:
    ControlMemory memory{layout::control_bytes_of_stream(kSlots)};
    layout::StreamControl control{memory.base(), kSlots};
    PlainGround ground;
    Ring ring{control, ground};
    sync::Ends<PlainGround> ends{control, ground};
    sync::ClaimMemory known;
    const std::uint64_t publisher = sync::owner_word(1, 3), reader = sync::owner_word(2, 0);
    Ring::Place place;

    std::uint64_t publish(bool block = false) {
        const auto claim = ring.claim(publisher, block, true, known);
        EXPECT_TRUE(claim);
        return ring.publish(publisher, claim.slot).value_or(0);
    }
    void publish_many(int count) {
        for (int k = 0; k < count; ++k) (void)publish();
    }
    std::uint64_t word(std::size_t slot) const {
        return ground.load_relaxed(control.slot(slot).word);
    }
    std::uint64_t pins(std::size_t end) const {
        return ground.load_relaxed(control.end(end).pins[0]);
    }
    void set_cursor(std::size_t end, std::uint64_t seq) {
        ground.store_seq_cst(control.end(end).cursor, seq);
    }
};

}  // namespace ndshare::support
