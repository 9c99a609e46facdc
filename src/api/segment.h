// api/segment.h: a piece of memory that this process holds: descriptor, mappings, a row.
//
// One object for one inode, whatever the number of handles: they share the mappings, the row and
// the lock between threads. It ends with its last reference (handles, writes, leases of views):
// then the mappings go, the row's lock with them, and the name passes to another holder. fork():
// the child gets a row, a description and mappings of its own, at the same addresses, before fork()
// returns; where that fails (no descriptor, no row) its views see zeros and its operations say
// Closed. Threads: any. Blocks: no longer than the kernel maps.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "layout/control.h"
#include "layout/descriptor.h"
#include "platform/fd.h"
#include "sync/ground.h"
#include "sync/local_lock.h"

namespace ndshare::api {

// Which memory: two names or handles lead to the same one when these are equal.
struct MemoryId {
    std::uint64_t device = 0, inode = 0;
    auto operator<=>(const MemoryId&) const = default;
};

// Something that lives in a segment and that a forked child needs its own of.
class ForkPart {
 public:
    virtual ~ForkPart() = default;
    // In the parent, before fork(): makes the child's, under its owner word. false: it cannot.
    virtual bool prepare_fork(std::uint64_t child_owner) noexcept = 0;
    virtual void finish_fork_in_child() noexcept = 0;
};

class Segment : public std::enable_shared_from_this<Segment> {
 public:
    // The one for this inode, attached now unless this process holds it already (fd is closed
    // then). writeable: which view of the data is wanted first; it comes with the attachment in
    // one mapping, the other one would be mapped when asked for. nullptr: its last holder is just
    // taking the name away; look again. Errors: Invalid (too many peers), SystemError, NoRoom.
    static std::shared_ptr<Segment> attach(platform::Fd fd, const MemoryId& id,
                                           layout::Description description, bool writeable);
    ~Segment();
    Segment(const Segment&) = delete;

    const MemoryId& id() const { return id_; }
    const layout::Description& description() const { return description_; }
    bool persistent() const { return (description_.fields.flags & layout::kFlagPersistent) != 0; }
    int fd() const { return fd_.get(); }
    layout::Control control() const { return control_; }
    sync::Ground& ground() { return ground_; }
    // This process's word in locks and bells; another in a forked child.
    std::uint64_t owner() const { return owner_.load(std::memory_order_relaxed); }
    std::size_t own_row() const { return sync::row_of(owner()); }
    sync::LocalLock& write_local() { return write_local_; }
    sync::LocalLock& attrs_local() { return attrs_local_; }
    // fork() could not attach this child, or clone() went past the hooks: Invalid.
    void require_attached() const;
    bool is_lost() const;
    // They are asked at each fork() from then on, and not while one runs.
    void add_fork_part(ForkPart* part);
    void remove_fork_part(ForkPart* part) noexcept;

    // The array's bytes; mapped at the first call, for as long as this object.
    std::byte* data(bool writeable);
    std::size_t data_bytes() const { return description_.fields.data_bytes; }
    // Both places of the attributes become real memory.
    void reserve_attrs();
    // All bells do.
    void reserve_bells();
    // The book's link leads to this process, which passes it on at the end; to that row; to nobody.
    void set_named();
    void name_heir(std::size_t row) const;
    void clear_named();
    bool is_named() const;

    // While one lives, a fork() in another thread closes the child's copy of fd.
    class ClosedInChild {
     public:
        explicit ClosedInChild(int fd);
        ~ClosedInChild();
        ClosedInChild(const ClosedInChild&) = delete;

     private:
        int fd_;
    };

 private:
    friend struct ForkHandler;
    friend void hand_over_all_names() noexcept;
    Segment(platform::Fd fd, const MemoryId& id, layout::Description description, bool writeable);
    void reserve_row(int fd, std::size_t row) const;
    std::size_t data_span_bytes() const { return description_.fields.control_offset_bytes; }
    std::size_t file_span_bytes() const { return description_.fields.file_bytes; }
    // Both mappings of this process through fd; at != nullptr: over what is there.
    void map_whole(int fd, std::byte* at);
    std::byte* map_other(int fd, std::byte* at) const;
    void unmap_all() noexcept;
    bool fd_is_still_ours() const noexcept;
    // fork(), in its three places.
    void prepare_fork() noexcept;
    void finish_fork_in_parent() noexcept;
    void finish_fork_in_child() noexcept;

    MemoryId id_;
    layout::Description description_;
    platform::Fd fd_;
    layout::Control control_;
    std::byte* whole_ = nullptr;  // the file: data as writeable_first_ says, control writeable
    std::byte* other_ = nullptr;  // the data once more, the other way, when it was asked for
    const bool writeable_first_;
    sync::Ground ground_;
    // Relaxed: changed only by a forked child while it has one thread.
    std::atomic<std::uint64_t> owner_{0};
    bool lost_in_fork_ = false;
    sync::LocalLock write_local_, attrs_local_;
    std::vector<ForkPart*> fork_parts_;  // under the mutex of all that this process holds
    platform::Fd child_fd_;              // between prepare and the two finishes
    std::uint64_t child_owner_ = 0;
};

// false: its name has just gone, or went to other memory. Errors: CorruptBytes.
bool is_live(Segment& segment);
// Has the name other memory by now? Settles it where a replacer died on the way (book.h).
bool is_replaced(Segment& segment) noexcept;
// After a search: the next one need not search again, and the name is passed on when we let go.
void take_name(Segment& segment);

// Guards every handle's bell; one for all, so that the fork hooks can hold it. Taken before all
// others.
std::mutex& bells_mutex();

// Before exit: names that lead to this process pass to other holders.
void hand_over_all_names() noexcept;

}  // namespace ndshare::api
