#include <algorithm>

#include "api/bell.h"
#include "api/book.h"
#include "api/interrupt.h"
#include "api/places.h"
#include "base/check.h"
#include "base/fault.h"
#include "layout/control.h"
#include "layout/hash.h"
#include "layout/name.h"
#include "platform/folder.h"
#include "platform/memory.h"
#include "platform/process.h"
#include "platform/record_lock.h"
#include "sync/peer_rows.h"

namespace ndshare::api {
namespace {

using platform::Fd;

constexpr std::int64_t kPassOnNs = 1'000'000'000;

void store_state(const Found& found, std::uint32_t state) {
    const auto& fields = found.description.fields;
    std::byte* memory =
        platform::map(found.fd.get(), fields.control_offset_bytes, layout::kControlBytes, true);
    sync::Atomics::store_seq_cst(layout::Control(memory).words().state, state);
    platform::unmap(memory, layout::kControlBytes);
}

bool is_newer(const Found& one, const Found& other) {
    return one.description.fields.generation > other.description.fields.generation;
}

// Nobody else has the memory, and nobody can join.
class ShutDoor {
 public:
    explicit ShutDoor(const Segment& segment)
        : segment_(segment), is_shut_(sync::try_shut_door(segment.fd())) {}
    ~ShutDoor() {
        if (is_shut_) sync::open_door(segment_.fd(), segment_.own_row());
    }
    ShutDoor(const ShutDoor&) = delete;
    explicit operator bool() const { return is_shut_; }

 private:
    const Segment& segment_;
    const bool is_shut_;
};

// The first holder with a signature that holds; false: there is none.
bool lead_to_another(NameChange& change, const Segment& segment) {
    for (const auto& peer :
         sync::living_peers(segment.fd(), segment.control(), layout::kRowCount)) {
        const auto status =
            platform::status_behind(-1, platform::descriptor_path(peer.who.pid, peer.who.fd));
        if (status && MemoryId{status->device, status->inode} == segment.id()) {
            change.repoint(peer.who.pid, peer.who.fd);
            segment.name_heir(peer.row);
            return true;
        }
    }
    return false;
}

}  // namespace

// ---- changes ------------------------------------------------------------------------------------

// One byte of one folder's .lock, through a description of its own.
struct NameChange::Locked {
    std::shared_ptr<Fd> folder;
    Fd lock_file;
    std::unique_ptr<Segment::ClosedInChild> closed_in_child;

    Locked(std::shared_ptr<Fd> where, std::uint64_t byte, std::uint32_t mode,
           const platform::Deadline& deadline)
        : folder(std::move(where)),
          lock_file(platform::open_or_make_file(folder->get(), kLockFile, mode)),
          closed_in_child(std::make_unique<Segment::ClosedInChild>(lock_file.get())) {
        platform::require_mode(lock_file.get(), mode);
        std::int64_t pause_ns = 100'000;
        while (!platform::try_record_lock(lock_file.get(), byte)) {
            if (deadline.passed()) {
                throw TimedOut("another process is in the middle of changing this name (stopped?)");
            }
            platform::sleep_ns(std::min(pause_ns, deadline.left_ns()));
            pause_ns = std::min<std::int64_t>(pause_ns * 2, 20'000'000);
            check_interrupt();
        }
    }
};

NameChange::NameChange(const std::string& full_name, const platform::Deadline& deadline)
    : full_name_(full_name) {
    const std::uint64_t byte = layout::hash_bytes(full_name) % kLockBytes;
    if (auto folder = book(true, true)) {
        book_ = std::make_unique<Locked>(std::move(folder), byte, 0600, deadline);
    }
    if (auto root = open_root(false)) {
        const bool shared = !platform::environment("NDSHARE_ROOT").empty();
        try {
            root_ = std::make_unique<Locked>(std::make_shared<Fd>(std::move(root->folder)), byte,
                                             shared ? 0660 : 0600, deadline);
        } catch (const SystemError& e) {
            // A root that can only be read: its names cannot change, and need no lock.
            if (e.error != EACCES && e.error != EROFS && e.error != EPERM) throw;
        }
    }
    NDSHARE_FAULT_POINT("book.after_lock");
}

NameChange::~NameChange() = default;

std::optional<Found> NameChange::find() {
    Doubt doubt = Doubt::none;
    auto found = look(full_name_, doubt);
    if (doubt == Doubt::none) return found;
    if (found && found->in_doubt) return settle(std::move(*found));
    // A stale link: its process is gone or moved on. Others may hold the memory still.
    found = search();
    if (!found) remove_file_if([](std::uint32_t state) { return !may_have_a_name(state); });
    return found;
}

void NameChange::remove_file_if(bool (*is_gone)(std::uint32_t state)) noexcept {
    try {
        std::uint32_t state = 0;
        const auto file = find_file(full_name_, state);
        if (file && is_gone(state)) remove_file();
    } catch (const std::exception&) {
        // Not to be seen, or no file of ours.
    }
}

// The lock is ours, so who marked it died, or gave up. How far he came is told by generations: what
// was to have the name is newer than what had it, and has it if it is there.
std::optional<Found> NameChange::settle(Found found) {
    std::uint32_t state = 0;
    if (!found.persistent()) {
        std::optional<Found> file;
        try {
            file = find_file(full_name_, state);
        } catch (const std::exception&) {
            rethrow_shortage();
            // Not to be seen: nothing is known of it.
        }
        if (file && may_have_a_name(state) && is_newer(*file, found)) {
            set_state(found, layout::kReplaced);
            remove_link();
            return file->in_doubt ? settle(std::move(*file)) : std::move(file);
        }
    } else if (has_link()) {
        std::vector<Found> older;
        const auto memory = search_processes(full_name_, older);
        if (memory && is_newer(*memory, found)) {
            set_state(found, layout::kReplaced);
            remove_file();
            return search();
        }
        remove_link();
    }
    set_state(found, layout::kLive);
    found.in_doubt = false;
    return found;
}

std::optional<Found> NameChange::search() {
    if (!has_link()) return std::nullopt;
    std::vector<Found> older;
    auto found = search_processes(full_name_, older);
    for (const auto& former : older) {
        if (former.in_doubt) set_state(former, layout::kReplaced);
    }
    std::uint32_t pid = 0, number = 0;
    if (found && platform::parse_descriptor_path(found->path, pid, number)) {
        if (found->in_doubt) set_state(*found, layout::kLive);
        found->in_doubt = false;
        repoint(pid, number);
        found->searched = true;
        return found;
    }
    remove_link();
    return std::nullopt;
}

void NameChange::repoint(std::uint32_t pid, std::uint32_t fd) {
    const std::string file = layout::file_name(full_name_);
    // One hidden name for each lock byte: only the holder of the byte uses or cleans it.
    const std::string hidden =
        ".swap-" + std::to_string(layout::hash_bytes(full_name_) % kLockBytes);
    platform::remove_name(book_->folder->get(), hidden);
    platform::make_link(book_->folder->get(), hidden, platform::descriptor_path(pid, fd));
    NDSHARE_FAULT_POINT("book.before_rename");
    platform::rename_over(book_->folder->get(), hidden, file);
    NDSHARE_FAULT_POINT("book.after_rename");
}

void NameChange::take(Segment& segment) {
    repoint(platform::identity().pid_in_proc, static_cast<std::uint32_t>(segment.fd()));
    segment.set_named();
}

void NameChange::publish(int fd, bool persistent) {
    const std::string file = persistent_file_name(full_name_);
    if (!persistent) {
        require_proc();
        if (!book_) throw SystemError(ENOENT, "open " + book_folder());
        repoint(platform::identity().pid_in_proc, static_cast<std::uint32_t>(fd));
        if (root_) platform::remove_name(root_->folder->get(), file);
        return;
    }
    if (!root_) throw SystemError(EACCES, "open " + persistent_folder() + "/.lock");
    const int root = root_->folder->get();
    const std::string hidden =
        ".swap-" + std::to_string(layout::hash_bytes(full_name_) % kLockBytes);
    if (!platform::give_name(fd, root, file)) {  // taken: over it, in one step
        platform::remove_name(root, hidden);
        if (!platform::give_name(fd, root, hidden)) throw SystemError(EEXIST, "link");
        NDSHARE_FAULT_POINT("book.before_file_rename");
        platform::rename_over(root, hidden, file);
    }
    try {
        NDSHARE_FAULT_POINT("book.after_file_rename");
        remove_link();
    } catch (const std::exception&) {
        if (has_link()) remove_file();  // it failed, and what the link leads to keeps the name
        throw;
    }
}

bool NameChange::has_link() const {
    return book_ &&
           platform::read_link(book_->folder->get(), layout::file_name(full_name_).c_str());
}
bool NameChange::remove_link() {
    return book_ && platform::remove_name(book_->folder->get(), layout::file_name(full_name_));
}
bool NameChange::remove_file() {
    return root_ && platform::remove_name(root_->folder->get(), persistent_file_name(full_name_));
}

// The link last: while it is there, a file that its memory replaced is not believed.
bool NameChange::remove() {
    bool removed = remove_file();
    NDSHARE_FAULT_POINT("book.after_file_remove");
    removed |= remove_link();
    NDSHARE_FAULT_POINT("book.after_remove");
    return removed;
}

// The state first: memory without a name that says "live" could be found by a later search.
bool NameChange::unlink(const Found& found) {
    const auto keep = [&] {
        if (where_leads(full_name_, found.id) == Leads::here) set_state(found, layout::kLive);
    };
    set_state(found, layout::kUnlinked);
    try {
        const bool removed = remove();
        if (!removed) keep();
        return removed;
    } catch (const std::exception&) {
        keep();
        throw;
    }
}

platform::Fd make_persistent_file(const std::string& full_name, std::uint32_t mode) {
    auto root = open_root(true);
    if (!root) throw SystemError(ENOENT, "open " + persistent_folder());
    std::uint64_t random = 0;  // for file systems without O_TMPFILE: a name nobody else takes
    platform::random_bytes(&random, sizeof random);
    return platform::make_unnamed_file(
        root->folder.get(), ".new-" + std::to_string(random) + persistent_file_name(full_name),
        mode);
}

void pass_name_on(const Segment& segment) noexcept {
    try {
        const std::string& name = segment.description().name;
        // Not for ever: whoever closes must not hang on a process that is stopped in a change.
        NameChange change(name, platform::Deadline(kPassOnNs));
        if (sync::Atomics::load_acquire(segment.control().words().state) == layout::kReplacing) {
            (void)change.find();
        }
        if (where_leads(name, segment.id()) != Leads::here) return;
        const auto folder = book(false, false);
        if (!folder) return;
        const auto link = platform::read_link(folder->get(), layout::file_name(name).c_str());
        if (!link || *link != platform::descriptor_path(platform::identity().pid_in_proc,
                                                        static_cast<std::uint32_t>(segment.fd()))) {
            return;  // somebody else keeps it already
        }
        NDSHARE_FAULT_POINT("book.before_pass_on");
        if (lead_to_another(change, segment)) return;
        NDSHARE_FAULT_POINT("book.before_door");
        // An opener that came after the look above has its row, and we fail; or it cannot take one
        // before the state says that the name goes, and looks again. If we die, the door opens.
        const ShutDoor door(segment);
        if (!door) {
            // An unsigned row counts as well: a child in the middle of fork(). Its link is found by
            // search, so the name stays, stale.
            (void)lead_to_another(change, segment);
            return;
        }
        NDSHARE_FAULT_POINT("book.after_door");
        sync::Atomics::store_seq_cst(segment.control().words().state,
                                     static_cast<std::uint32_t>(layout::kUnlinked));
        NDSHARE_FAULT_POINT("book.after_unlinked");
        // A file that says that it was being replaced was so by us; any other one is not ours.
        change.remove_file_if([](std::uint32_t state) { return state != layout::kLive; });
        change.remove_link();
        NDSHARE_FAULT_POINT("book.after_link");
    } catch (const std::exception&) {
        // The link is stale then, and the next one who needs the name searches.
    }
}

void set_state(const Found& found, std::uint32_t state) {
    const auto& fields = found.description.fields;
    std::byte* memory =
        platform::map(found.fd.get(), fields.control_offset_bytes, layout::kControlBytes, true);
    const layout::Control control(memory);
    // SYNC(state): hint only; the book is what decides, and sleepers ask it between slices. Before
    // the look whether a bell is armed.
    sync::Atomics::store_seq_cst(control.words().state, state);
    NDSHARE_FAULT_POINT_QUIET("book.after_state");
    sync::Ground::wake_all(control.words().version);
    sync::Ground::wake_all(control.words().latest);
    sync::Ground::wake_all(control.words().room);
    api::ring_armed(control);
    platform::unmap(memory, layout::kControlBytes);
}

void mark_replacing(const Found& found) {
    store_state(found, layout::kReplacing);
    NDSHARE_FAULT_POINT("book.after_mark");
}

void mark_replacing(Segment& segment) {
    sync::Atomics::store_seq_cst(segment.control().words().state,
                                 static_cast<std::uint32_t>(layout::kReplacing));
    NDSHARE_FAULT_POINT("book.after_mark_attached");
}

}  // namespace ndshare::api
