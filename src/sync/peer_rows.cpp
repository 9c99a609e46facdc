#include "sync/peer_rows.h"

#include <algorithm>

#include "base/check.h"
#include "base/fault.h"
#include "platform/record_lock.h"
#include "sync/atomics.h"
#include "sync/high_water.h"

namespace ndshare::sync {
namespace {

using layout::Control;
using layout::kRowCount;

// The byte after the rows'. Whoever fails to lock a row asks whether this is why.
constexpr std::uint64_t kDoorByte = kRowCount;

std::size_t rows_in_use(Control control) {
    // SYNC(row-high-water)
    return std::min<std::size_t>(Atomics::load_acquire(control.words().row_high_water), kRowCount);
}

// 0: another has it.
std::uint64_t try_take(int fd, Control control, std::size_t row) {
    if (!platform::try_record_lock(fd, row)) {
        // Rows and door open in one step, so that a row that is free by now is met further on.
        if (platform::is_locked_by_another(fd, kDoorByte)) throw DoorIsShut{};
        return 0;
    }
    NDSHARE_FAULT_POINT("peer_rows.after_lock");
    const std::uint64_t epoch = raise_epoch(Atomics{}, control.row(row));
    NDSHARE_FAULT_POINT("peer_rows.after_epoch");
    return owner_word(row, epoch);
}

}  // namespace

std::uint64_t take_row_unsigned(int fd, Control control, const ReserveRow& reserve_row) {
    const std::size_t in_use = rows_in_use(control);
    // Rows that say they are free, then a new one, then those whose holder may have died.
    for (std::size_t row = 0; row < in_use; ++row) {
        // Relaxed: a stale pid only changes the order in which rows are tried.
        if (Atomics::load_relaxed(control.row(row).pid) != 0) continue;
        if (const std::uint64_t owner = try_take(fd, control, row)) return owner;
    }
    for (std::size_t row = in_use; row < kRowCount; ++row) {
        reserve_row(row);
        raise_high_water(Atomics{}, control.words().row_high_water, row);
        if (const std::uint64_t owner = try_take(fd, control, row)) return owner;
    }
    for (std::size_t row = 0; row < kRowCount; ++row) {
        if (const std::uint64_t owner = try_take(fd, control, row)) return owner;
    }
    throw Invalid("too many peers: " + std::to_string(kRowCount) +
                  " processes hold it already; close it in one of them");
}

std::uint64_t take_row(int fd, Control control, const PeerIdentity& who,
                       const ReserveRow& reserve_row) {
    const std::uint64_t owner = take_row_unsigned(fd, control, reserve_row);
    sign_row(control, row_of(owner), who);
    NDSHARE_FAULT_POINT("peer_rows.after_sign");
    return owner;
}

void sign_row(Control control, std::size_t row, const PeerIdentity& who) {
    auto& words = control.row(row);
    // Relaxed but for pid: readers of a row check what it leads to; a mixed one leads nowhere.
    Atomics::store_relaxed(words.fd, who.fd);
    Atomics::store_relaxed(words.pid_namespace, who.pid_namespace);
    // SYNC(row-signed)
    Atomics::store_release(words.pid, who.pid);
}

void clear_row(Control control, std::size_t row) {
    Atomics::store_release(control.row(row).pid, std::uint32_t{0});
}

std::vector<Peer> living_peers(int fd, Control control, std::size_t own_row) {
    std::vector<Peer> peers;
    const std::size_t in_use = rows_in_use(control);
    for (std::size_t row = 0; row < in_use; ++row) {
        // SYNC(row-signed)
        const std::uint32_t pid = Atomics::load_acquire(control.row(row).pid);
        if (pid == 0) continue;
        if (row != own_row && !platform::is_locked_by_another(fd, row)) continue;
        // Relaxed: whoever uses them checks what they lead to.
        peers.push_back({row,
                         {pid, Atomics::load_relaxed(control.row(row).fd),
                          Atomics::load_relaxed(control.row(row).pid_namespace)}});
    }
    return peers;
}

bool try_shut_door(int fd) { return platform::try_record_lock(fd, 0, kDoorByte + 1); }

void open_door(int fd, std::size_t own_row) noexcept {
    platform::record_unlock(fd, own_row + 1, kDoorByte - own_row);
    if (own_row > 0) platform::record_unlock(fd, 0, own_row);
}

}  // namespace ndshare::sync
