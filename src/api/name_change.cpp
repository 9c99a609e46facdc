#include <algorithm>

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
#include "sync/bells.h"
#include "sync/peer_rows.h"

namespace ndshare::api {
namespace {

using platform::Fd;

constexpr std::int64_t kPassOnNs = 1'000'000'000;

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

std::optional<Found> NameChange::find() const {
    bool stale = false;
    if (auto found = look(full_name_, stale)) return found;
    if (!book_) return std::nullopt;
    const std::string file = layout::file_name(full_name_);
    if (!platform::read_link(book_->folder->get(), file.c_str())) return std::nullopt;
    // A stale link: its process is gone or moved on. Others may hold the memory still.
    auto found = search_processes(full_name_);
    std::uint32_t pid = 0, number = 0;
    if (found && platform::parse_descriptor_path(found->path, pid, number)) {
        const_cast<NameChange*>(this)->repoint(pid, number);
        found->searched = true;
        return found;
    }
    platform::remove_name(book_->folder->get(), file);
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
    NDSHARE_FAULT_POINT("book.after_file_rename");
    if (book_) platform::remove_name(book_->folder->get(), layout::file_name(full_name_));
}

bool NameChange::remove() {
    bool removed = false;
    if (book_) {
        removed |= platform::remove_name(book_->folder->get(), layout::file_name(full_name_));
    }
    if (root_) {
        removed |= platform::remove_name(root_->folder->get(), persistent_file_name(full_name_));
    }
    NDSHARE_FAULT_POINT("book.after_remove");
    return removed;
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
        if (where_leads(name, segment.id()) != Leads::here) return;
        const auto folder = book(false, false);
        if (!folder) return;
        const auto link = platform::read_link(folder->get(), layout::file_name(name).c_str());
        if (!link || *link != platform::descriptor_path(platform::identity().pid_in_proc,
                                                        static_cast<std::uint32_t>(segment.fd()))) {
            return;  // somebody else keeps it already
        }
        NDSHARE_FAULT_POINT("book.before_pass_on");
        for (const auto& peer :
             sync::living_peers(segment.fd(), segment.control(), layout::kRowCount)) {
            const auto status =
                platform::status_behind(-1, platform::descriptor_path(peer.who.pid, peer.who.fd));
            if (status && MemoryId{status->device, status->inode} == segment.id()) {
                change.repoint(peer.who.pid, peer.who.fd);
                segment.name_heir(peer.row);
                return;
            }
        }
        // An opener that came after the look above has its row before it reads the state: either we
        // see the row now, or it sees that the name goes, and looks again.
        auto& state = segment.control().words().state;
        sync::Atomics::store_seq_cst(state, static_cast<std::uint32_t>(layout::kUnlinked));
        // An unsigned row counts as well: a child in the middle of fork(). Its link is found by
        // search, so the name stays, stale.
        if (sync::any_other_holder(segment.fd(), segment.control())) {
            sync::Atomics::store_seq_cst(state, static_cast<std::uint32_t>(layout::kLive));
            for (const auto& peer :
                 sync::living_peers(segment.fd(), segment.control(), layout::kRowCount)) {
                change.repoint(peer.who.pid, peer.who.fd);
                segment.name_heir(peer.row);
                return;
            }
            return;
        }
        change.remove();
    } catch (const std::exception&) {
        // The link is stale then, and the next one who needs the name searches.
    }
}

void set_state(const Found& found, std::uint32_t state) {
    const auto& fields = found.description.fields;
    std::byte* memory =
        platform::map(found.fd.get(), fields.control_offset_bytes, layout::kControlBytes, true);
    const layout::Control control(memory);
    // SYNC(state): hint only; the book is what decides, and sleepers ask it between slices.
    sync::Atomics::store_release(control.words().state, state);
    NDSHARE_FAULT_POINT_QUIET("book.after_state");
    sync::Ground::wake_all(control.words().version);
    sync::Ground::wake_all(control.words().latest);
    sync::Ground::wake_all(control.words().room);
    sync::ring_armed(control);
    platform::unmap(memory, layout::kControlBytes);
}

}  // namespace ndshare::api
