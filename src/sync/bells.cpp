#include "sync/bells.h"

#include <algorithm>

#include "base/check.h"
#include "base/fault.h"
#include "platform/bell_pipe.h"

namespace ndshare::sync {
namespace {
using layout::Control;
using layout::kBellCount;
}  // namespace

std::size_t claim_bell(Control control, const Ground& ground, std::uint64_t owner, std::uint32_t fd,
                       std::uint64_t inode) {
    for (std::size_t index = 0; index < kBellCount; ++index) {
        layout::Bell& bell = control.bell(index);
        std::uint64_t seen = Atomics::load_acquire(bell.owner);
        const bool free = seen == 0 || !names_a_row(seen) || !ground.owner_is_alive(seen);
        if (!free || !Atomics::compare_exchange(bell.owner, seen, owner)) continue;
        NDSHARE_FAULT_POINT("bells.after_claim");
        // Relaxed: a ringer that reads a mixture finds no such pipe.
        Atomics::store_relaxed(bell.fd, fd);
        Atomics::store_relaxed(bell.inode, inode);
        auto& high_water = control.words().bell_high_water;
        std::uint32_t mark = Atomics::load_acquire(high_water);
        // SYNC(bell-high-water): whoever sees the mark may touch the bells below it.
        while (mark <= index && !Atomics::compare_exchange(high_water, mark,
                                                           static_cast<std::uint32_t>(index + 1))) {
        }
        return index;
    }
    throw Invalid("too many handles with a fileno(): " + std::to_string(kBellCount) +
                  "; close one of them");
}

void release_bell(Control control, std::size_t index, std::uint64_t owner) noexcept {
    layout::Bell& bell = control.bell(index);
    Atomics::store_release(bell.armed, std::uint32_t{0});
    std::uint64_t seen = owner;
    Atomics::compare_exchange(bell.owner, seen, std::uint64_t{0});
}

void arm_bell(Control control, std::size_t index) {
    // SYNC(need-ring): both flags first, then the caller's look at the version; a fence, as that
    // look is no more than acquire.
    Atomics::store_seq_cst(control.bell(index).armed, std::uint32_t{1});
    Atomics::store_seq_cst(control.words().need_ring, std::uint32_t{1});
    Atomics::fence_seq_cst();
}

void ring_armed(Control control) noexcept {
    // SYNC(need-ring): if the flag is not seen here, the poller sees our version.
    if (Atomics::load_seq_cst(control.words().need_ring) == 0) return;
    Atomics::exchange_seq_cst(control.words().need_ring, std::uint32_t{0});
    NDSHARE_FAULT_POINT_QUIET("bells.before_ring");
    // SYNC(bell-high-water)
    const std::size_t in_use =
        std::min<std::size_t>(Atomics::load_acquire(control.words().bell_high_water), kBellCount);
    for (std::size_t index = 0; index < in_use; ++index) {
        layout::Bell& bell = control.bell(index);
        if (Atomics::load_seq_cst(bell.armed) == 0) continue;
        if (Atomics::exchange_seq_cst(bell.armed, std::uint32_t{0}) == 0) continue;
        const std::uint64_t owner = Atomics::load_acquire(bell.owner);
        if (!names_a_row(owner)) continue;
        const std::uint32_t pid = Atomics::load_acquire(control.row(row_of(owner)).pid);
        platform::ring_other(pid, Atomics::load_relaxed(bell.fd),
                             Atomics::load_relaxed(bell.inode));
    }
}

}  // namespace ndshare::sync
