// api/book.h: from a name to memory. Two places, one name space: the book (a folder of links to
// descriptors of living processes, for memory that the kernel holds) and the root (a folder of
// files, for persistent arrays).
//
//   NDSHARE_DIR, default /dev/shm
//     ndshare-UID/            0700
//       pidns-INODE/          the book of one pid namespace
//         .lock               one byte per hash of a name, locked while that name changes
//         cam%2Ffront -> /proc/1234/fd/5
//       files/                the root, unless NDSHARE_ROOT names one
//         .lock
//         weights.npy
//
// Invariants: (1) a name leads to complete memory only. (2) Every change of a name holds its byte
// of .lock; looking takes none. (3) A link is believed only after what it leads to has said the
// same name, user and pid namespace: pids and descriptor numbers are used again. (4) Nobody's
// failed attempt changes what the name leads to. Threads: any. Processes: any. Blocks: changes wait
// for other changes of the same name.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/segment.h"
#include "layout/descriptor.h"
#include "platform/clock.h"
#include "platform/fd.h"
#include "platform/folder_watch.h"

namespace ndshare::api {

// What a name leads to, validated; the descriptor is open, nothing is mapped.
struct Found {
    platform::Fd fd;
    MemoryId id;
    layout::Description description;
    std::uint64_t footprint_bytes = 0;
    std::string path;       // /proc/pid/fd/fd, the file's, or the name of the book's link
    bool searched = false;  // its link was stale: whoever attaches should lead it to himself
    bool in_doubt = false;  // somebody is replacing it, or died on the way
    bool persistent() const { return (description.fields.flags & layout::kFlagPersistent) != 0; }
};

// nullopt: the name leads to no living memory. Errors: CorruptBytes, Error(forbidden).
// Takes the name's lock only when its link is stale: then others may hold the memory still, and
// the link is led to one of them, or removed; or when it leads to memory that is being replaced:
// without the lock, because somebody is at it, this is the memory from before.
// Errors also: TimedOut at the deadline, when another process is in the middle of changing the
// name.
std::optional<Found> find(
    const std::string& full_name,
    const platform::Deadline& deadline = platform::Deadline(platform::kForeverNs));

// The two halves of find(), for NameChange: the fast path in both places, and the search of all
// processes.
enum class Doubt {
    none,
    changing,  // somebody is changing the name, or died on the way; this is how it was before
    stale,     // a link is there, or no book: memory may live, or be newer, that it did not find
};
std::optional<Found> look(const std::string& full_name, Doubt& doubt);
// older: other living memories of this name that it had before.
std::optional<Found> search_processes(const std::string& full_name, std::vector<Found>& older);
// Live, or in the hands of somebody who replaces it.
bool may_have_a_name(std::uint32_t state);
// What the file of this name holds, and in which state it is.
std::optional<Found> find_file(const std::string& full_name, std::uint32_t& state);

// NDSHARE_NAMESPACE before it. Errors: Invalid.
std::string full_name_of(std::string_view name);
// Microseconds since 1970: later memory under a name has a larger number even when nobody is left
// who knows the former one.
std::uint64_t first_generation();

// What numpy.load can open: /proc/pid/fd/fd, or the file.
std::string path_of(const Found& found);

// Does the name lead to this memory still? other: to another one. Opens nothing.
enum class Leads { here, elsewhere, nowhere };
Leads where_leads(const std::string& full_name, const MemoryId& id);

// Full names that begin with prefix, of both places, sorted. Some may be stale.
std::vector<std::string> names(const std::string& prefix);

// Exclusive right to change one name, in both places.
class NameChange {
 public:
    explicit NameChange(const std::string& full_name, const platform::Deadline& deadline =
                                                          platform::Deadline(platform::kForeverNs));
    ~NameChange();
    NameChange(const NameChange&) = delete;

    // As find(), without taking the lock again. Completes what somebody who died left half done,
    // or takes it back.
    std::optional<Found> find();
    // The name leads to fd (memory: of this process; persistent: its file) from now on, in one
    // step, whatever it led to before. What had the name is marked before: mark_replacing().
    void publish(int fd, bool persistent);
    // Leads the name to another descriptor of the same memory.
    void repoint(std::uint32_t pid, std::uint32_t fd);
    // The same, to this process's own; it passes the name on when it lets go.
    void take(Segment& segment);
    bool remove();  // false: there was none
    // The same for what find() gave; it hears of it first. An error leaves it its name.
    bool unlink(const Found& found);

 private:
    struct Locked;
    std::optional<Found> settle(Found found);
    std::optional<Found> search();
    bool has_link() const;
    bool remove_link();
    bool remove_file();
    void remove_file_if(bool (*is_gone)(std::uint32_t state)) noexcept;
    friend void pass_name_on(const Segment& segment) noexcept;
    std::string full_name_;
    std::unique_ptr<Locked> book_, root_;
};

// A new file for a persistent array, in the root, without a name.
platform::Fd make_persistent_file(const std::string& full_name, std::uint32_t mode);

// The process is about to let go of memory whose link leads here: to another holder with it, or
// away with the name. Never throws; at worst the link is stale.
void pass_name_on(const Segment& segment) noexcept;

// fork() must not happen while another thread holds the book's mutexes: the child would find them
// locked for ever. Called by the fork hooks.
void lock_for_fork();
void unlock_after_fork() noexcept;

// Refused where names of kernel-held memory cannot work: /proc is absent or another namespace's.
void require_proc();

// Identifies the folder of names in use now: memory says which one it belongs to, so that two
// NDSHARE_DIRs do not find each other's by searching processes.
std::uint64_t book_id();

// The state word, of memory that may not be mapped here; and waking whoever sleeps on it.
void set_state(const Found& found, std::uint32_t state);
// Before the name is given other memory: whoever dies then leaves a trace (docs/ORDERING.md).
void mark_replacing(const Found& found);
void mark_replacing(Segment& segment);

// Looks at some names and clears those that lead nowhere any more: for names that nobody will ever
// ask for again. Cheap enough for now and then; never throws.
void sweep_some_names() noexcept;

// Wakes when a name may have appeared.
void watch_names(platform::FolderWatch& watch);

std::string book_folder();        // as a path, for people
std::string persistent_folder();  // as a path, for people

}  // namespace ndshare::api
