// sync/peer_rows.h: a process's place in a segment. It is taken by the kernel's record lock on the
// row's byte, through the description that the process's mappings are made with, and so lasts
// exactly as long as the mapping. The words in the row only say who it is.
// Threads: attach and leave once each; count any. Processes: any. Blocks: no.
#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <vector>

#include "layout/control.h"
#include "sync/owner.h"

namespace ndshare::sync {

struct PeerIdentity {
    std::uint32_t pid = 0, fd = 0;
    std::uint64_t pid_namespace = 0;
};
struct Peer {
    std::size_t row = 0;
    PeerIdentity who;
};

// Makes a row's page real memory before it is touched; may throw.
using ReserveRow = std::function<void(std::size_t row)>;

// The last holder is just taking the name away: look at the name again.
struct DoorIsShut : std::exception {};

// REQUIRES: the row's record lock is held. Returns this holding's epoch.
template <class Ground>
std::uint64_t raise_epoch(Ground&& ground, layout::Row& row) {
    const std::uint64_t epoch = ground.load_relaxed(row.epoch);  // ours alone now
    const std::uint64_t next = (epoch + 1) & (~std::uint64_t{0} >> kEpochShift);
    // SYNC(row-epoch): from here a lock word of the row's former holder is a dead one's.
    ground.store_release(row.epoch, next);
    return next;
}

// Takes a free row through fd and signs it. Returns this holding's owner word.
// Throws DoorIsShut; Invalid("too many peers …") when all rows are held by the living.
std::uint64_t take_row(int fd, layout::Control control, const PeerIdentity& who,
                       const ReserveRow& reserve_row);
// fork, prepare side: locks a row through the child's future description; returns the owner word.
// The child signs it, when it knows its pid.
std::uint64_t take_row_unsigned(int fd, layout::Control control, const ReserveRow& reserve_row);
void sign_row(layout::Control control, std::size_t row, const PeerIdentity& who);
// Before the mapping goes: the next one need not ask the kernel whether the row is free.
void clear_row(layout::Control control, std::size_t row);

// The living; own_row (kRowCount for observers) counts without asking the kernel.
std::vector<Peer> living_peers(int fd, layout::Control control, std::size_t own_row);

// Locks all rows at once, and a byte that says so: true if nobody but fd's own description holds
// one, signed or not, and then nobody can take one until open_door(), or our death.
bool try_shut_door(int fd);
void open_door(int fd, std::size_t own_row) noexcept;

}  // namespace ndshare::sync
