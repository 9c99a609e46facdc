// sync/claim_wait.h: a `block` publisher's wait for a slot. It sleeps on the count of room, which
// subscribers raise when they have read, unpinned or left, if it said that it waits.
// Threads: any. Processes: any. Blocks: yes. A subscriber that dies raises nothing: between slices
// the kernel is asked.
#pragma once
#include "sync/ends.h"
#include "sync/patience.h"
#include "sync/slot_ring.h"

namespace ndshare::sync {

template <class Ground>
typename SlotRing<Ground>::Claim claim_waiting(SlotRing<Ground> ring, Ends<Ground> ends,
                                               layout::Word32& room_word, Ground& ground,
                                               std::uint64_t me, ClaimMemory& memory,
                                               Patience& patience) {
    auto claim = ring.claim(me, true, false, memory);
    const auto look = [&](bool ask) {
        claim = ring.claim(me, true, ask, memory);
        return static_cast<bool>(claim);
    };
    if (claim || patience.spin_until([&] { return look(false); })) return claim;
    for (;;) {
        const std::uint32_t room = ends.room();  // before the look: a change after it is noticed
        ends.need_room();
        if (look(true) || patience.over()) return claim;
        ground.sleep(room_word, room, patience.next_slice_ns());
        patience.ask_whether_to_go_on();
    }
}

}  // namespace ndshare::sync
