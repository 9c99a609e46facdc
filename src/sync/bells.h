// sync/bells.h: rings for poll, select and epoll. A handle that was asked for a descriptor has a
// pipe and a Bell that says where it is; a writer rings the armed ones after its version is out.
//
// need_ring and armed are handshakes like need_wake: flag first, then the look at the version; the
// version first, then the look at the flag. A ringer that dies between taking a flag and ringing
// loses the ring: pollers give their poll a timeout (asyncio: 250 ms), as sleepers sleep in slices.
// Threads: a Bell belongs to one handle; ring_armed from any. Processes: any. Blocks: no.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/fault.h"
#include "layout/control.h"
#include "sync/high_water.h"
#include "sync/owner.h"

namespace ndshare::sync {

template <class Ground>
class Bells {
 public:
    Bells(layout::Control control, Ground& ground) : control_(control), ground_(ground) {}

    // Claims one for owner, whose pipe is behind fd. REQUIRES: the bells are reserved memory.
    // Throws Invalid when all are in use.
    std::size_t claim(std::uint64_t owner, std::uint32_t fd, std::uint64_t inode) {
        for (std::size_t index = 0; index < layout::kBellCount; ++index) {
            layout::Bell& bell = control_.bell(index);
            // Acquire: whoever sees an owner must see the epoch of its row, or takes it for dead.
            std::uint64_t seen = ground_.load_acquire(bell.owner);
            if (names_a_row(seen) && ground_.owner_is_alive(seen)) continue;
            if (!ground_.compare_exchange(bell.owner, seen, owner)) continue;
            NDSHARE_FAULT_POINT("bells.after_claim");
            // Relaxed: a ringer that reads a mixture finds no such pipe.
            ground_.store_relaxed(bell.fd, fd);
            ground_.store_relaxed(bell.inode, inode);
            raise_high_water(ground_, control_.words().bell_high_water, index);
            return index;
        }
        throw Invalid("too many handles with a fileno(): " + std::to_string(layout::kBellCount) +
                      "; close one of them");
    }
    void release(std::size_t index, std::uint64_t owner) noexcept {
        layout::Bell& bell = control_.bell(index);
        // Relaxed: the next owner has it from the word below.
        ground_.store_relaxed(bell.armed, std::uint32_t{0});
        std::uint64_t seen = owner;
        ground_.compare_exchange(bell.owner, seen, std::uint64_t{0});
    }

    // After it a newer version than the one looked at next will ring.
    void arm(std::size_t index) {
        // Release: whoever takes it finds the pipe.
        ground_.store_release(control_.bell(index).armed, std::uint32_t{1});
        // SYNC(need-ring): both flags first, then the caller's look at the version; a fence, as
        // that look is no more than acquire. An exchange, so that whoever takes the flag has what
        // all of those did who raised it, and not only the last of them.
        ground_.exchange_seq_cst(control_.words().need_ring, std::uint32_t{1});
        ground_.fence_seq_cst();
    }
    void ring_armed() noexcept {
        // SYNC(need-ring): if the flag is not seen here, the poller sees our version.
        if (ground_.load_seq_cst(control_.words().need_ring) == 0) return;
        ground_.exchange_seq_cst(control_.words().need_ring, std::uint32_t{0});
        NDSHARE_FAULT_POINT_QUIET("bells.before_ring");
        // Relaxed: the flag has brought what stood there when it was raised.
        const std::size_t in_use = std::min<std::size_t>(
            ground_.load_relaxed(control_.words().bell_high_water), layout::kBellCount);
        for (std::size_t index = 0; index < in_use; ++index) {
            layout::Bell& bell = control_.bell(index);
            if (ground_.load_relaxed(bell.armed) == 0) continue;
            if (ground_.exchange_seq_cst(bell.armed, std::uint32_t{0}) == 0) continue;
            // Relaxed, all that follow: the exchange has brought them.
            const std::uint64_t owner = ground_.load_relaxed(bell.owner);
            if (!names_a_row(owner)) continue;
            const std::uint32_t pid = ground_.load_relaxed(control_.row(row_of(owner)).pid);
            ground_.ring(pid, ground_.load_relaxed(bell.fd), ground_.load_relaxed(bell.inode));
        }
    }

 private:
    layout::Control control_;
    Ground& ground_;
};

}  // namespace ndshare::sync
