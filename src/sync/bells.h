// sync/bells.h: rings for poll, select and epoll. A handle that was asked for a descriptor has a
// pipe and a Bell that says where it is; a writer rings the armed ones after its version is out.
//
// need_ring and armed are handshakes like need_wake: flag first, then the look at the version; the
// version first, then the look at the flag. A ringer that dies between taking a flag and ringing
// loses the ring: pollers give their poll a timeout (asyncio: 250 ms), as sleepers sleep in slices.
// Threads: a Bell belongs to one handle; ring_armed from any. Processes: any. Blocks: no.
#pragma once
#include <cstdint>

#include "layout/control.h"
#include "sync/ground.h"

namespace ndshare::sync {

// Claims a bell for owner. reserve_bells: makes their page real memory first; may throw.
// Throws Invalid when all are in use.
std::size_t claim_bell(layout::Control control, const Ground& ground, std::uint64_t owner,
                       std::uint32_t fd, std::uint64_t inode);
void release_bell(layout::Control control, std::size_t index, std::uint64_t owner) noexcept;
// After it a newer version than the one looked at next will ring.
void arm_bell(layout::Control control, std::size_t index);
void ring_armed(layout::Control control) noexcept;

}  // namespace ndshare::sync
