// sync/ground.h: what the verbs stand on, for real: the CPU's atomics, the futex, and the kernel's
// word on who is alive. A simulated ground in the schedule tests has the same members.
//
//   owner_is_alive(owner)  the row's record lock is held and the row was not taken again since
//   sleep(word, expected, ns), wake_all(word), wake_one(word)
//   ring(pid, fd, inode)   platform::ring_other
//
// Threads: any. Processes: any that map the control region.
#pragma once
#include "layout/control.h"
#include "platform/bell_pipe.h"
#include "platform/futex.h"
#include "platform/record_lock.h"
#include "sync/atomics.h"
#include "sync/owner.h"

namespace ndshare::sync {

class Ground : public Atomics {
 public:
    Ground() = default;
    // fd: the description whose mapping control is; own_row's lock is held through it.
    Ground(int fd, layout::Control control, std::size_t own_row, const platform::FileIdentity& file)
        : fd_(fd), control_(control), own_row_(own_row), file_(file) {}

    // A row that is being taken right now may pass for its former, dead holder: callers look again
    // after a slice. Never the other way round.
    bool owner_is_alive(std::uint64_t owner) const {
        const std::size_t row = row_of(owner);
        // SYNC(row-epoch): a later epoch means that the owner's lock was free in between.
        const std::uint64_t epoch = load_acquire(control_.row(row).epoch);
        if (owner_of(owner) != owner_word(row, epoch)) return false;
        // One's own lock is invisible to oneself. And a descriptor that was closed behind our back
        // knows nothing of anybody: nobody is dead then.
        return row == own_row_ || file_ != platform::identity_of(fd_) ||
               platform::is_locked_by_another(fd_, row);
    }
    static void sleep(const auto& word, std::uint32_t expected, std::int64_t ns) noexcept {
        platform::futex_wait(WordAccess::futex_word(word), expected, ns);
    }
    static void wake_all(auto& word) noexcept {
        platform::futex_wake_all(WordAccess::futex_word(word));
    }
    static void wake_one(auto& word) noexcept {
        platform::futex_wake_one(WordAccess::futex_word(word));
    }
    static bool ring(std::uint32_t pid, std::uint32_t fd, std::uint64_t inode) noexcept {
        return platform::ring_other(pid, fd, inode);
    }

 private:
    int fd_ = -1;
    layout::Control control_;
    std::size_t own_row_ = layout::kRowCount;
    platform::FileIdentity file_;
};

}  // namespace ndshare::sync
