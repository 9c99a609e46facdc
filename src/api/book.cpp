#include "api/book.h"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "api/interrupt.h"
#include "base/check.h"
#include "base/fault.h"
#include "layout/control.h"
#include "layout/hash.h"
#include "layout/name.h"
#include "ndshare/error.hpp"
#include "platform/clock.h"
#include "platform/folder.h"
#include "platform/memory.h"
#include "platform/process.h"
#include "platform/record_lock.h"
#include "sync/bells.h"
#include "sync/peer_rows.h"
#include "sync/version.h"

namespace ndshare::api {
namespace {

using platform::Fd;

constexpr const char* kLockFile = ".lock";
constexpr std::uint64_t kLockBytes = std::uint64_t{1} << 20;  // one for each hash of a name
constexpr std::string_view kFileSuffix = ".npy";
constexpr std::int64_t kPassOnNs = 1'000'000'000;
constexpr std::string_view kMemfdPrefix = "/memfd:ndshare:";

// ---- folders ------------------------------------------------------------------------------------

std::string base_folder() {
    const std::string chosen = platform::environment("NDSHARE_DIR");
    return chosen.empty() ? "/dev/shm" : chosen;
}
std::string user_folder_name() { return "ndshare-" + std::to_string(platform::identity().uid); }
std::string book_folder_name() {
    return "pidns-" + std::to_string(platform::identity().pid_namespace);
}

void require_private(const Fd& folder, const std::string& path) {
    const auto status = platform::status_of(folder.get());
    const std::uint32_t uid = platform::identity().uid;
    if (status.uid != uid) {
        throw Refused("the folder of names, " + path + ", belongs to " +
                      platform::user_name(status.uid) + ", not to " + platform::user_name(uid) +
                      "; set NDSHARE_DIR to a folder of your own");
    }
    if ((status.mode & 0077U) != 0) {
        throw Refused("the folder of names, " + path + ", can be entered by others; chmod 700 it");
    }
}

// ndshare-UID; made when absent and wanted.
std::optional<Fd> open_user_folder(bool make) {
    const std::string base = base_folder();
    auto parent = platform::open_folder(-1, base, true);
    if (!parent) {
        throw Refused("there is no folder " + base +
                      " for names; set NDSHARE_DIR to one that can be written");
    }
    const std::string name = user_folder_name();
    if (make) platform::make_folder(parent->get(), name, 0700);
    auto folder = platform::open_folder(parent->get(), name);
    if (folder) require_private(*folder, base + "/" + name);
    return folder;
}

std::uint64_t id_of_base(const std::string& base) {
    // The folder itself, not its spelling: /dev/shm may be a link.
    const auto status = platform::status_behind(-1, base);
    if (!status) return 1;
    return layout::mix(status->device ^ layout::mix(status->inode)) | 1;
}

bool is_proc_usable() {
    const auto& me = platform::identity();
    return me.proc_mounted && me.pid == me.pid_in_proc;
}

void check_proc() {
    const auto& me = platform::identity();
    if (!me.proc_mounted) {
        throw Refused(
            "/proc is not mounted, and names of kernel-held memory lead through it; mount "
            "it, or create with persistent=True");
    }
    if (me.pid != me.pid_in_proc) {
        throw Refused(
            "/proc shows another pid namespace than this process's own; mount a /proc of "
            "its own (unshare --mount-proc), or create with persistent=True");
    }
}

// The book's folder, kept open between calls; another one when NDSHARE_DIR changed or it was
// deleted. Its descriptor is shared by pointer, so that nobody's is closed under him.
struct OpenBook {
    std::mutex mutex;
    std::string base;  // as NDSHARE_DIR says it
    std::uint32_t pid = 0;
    std::shared_ptr<Fd> folder;
};
OpenBook& open_book() {
    static auto* book = new OpenBook;
    return *book;
}

struct KnownId {
    std::mutex mutex;
    std::string base = "\n";
    std::uint64_t id = 0;
};
KnownId& known_id() {
    static auto* known = new KnownId;
    return *known;
}

// Asked while a book is being filled as well, hence a lock of its own.
std::uint64_t current_book_id() {
    const std::string base = platform::environment("NDSHARE_DIR");
    KnownId& known = known_id();
    const std::lock_guard lock(known.mutex);
    if (known.base != base) {
        known.id = id_of_base(base_folder());
        known.base = base;
    }
    return known.id;
}

// ---- what a descriptor leads to -----------------------------------------------------------------

std::string memfd_target(const std::string& full_name) {
    return "/memfd:" + layout::memfd_name(full_name) + " (deleted)";
}

// A name leads to live memory only; what a search finds may be half built, or replaced.
bool is_live(const Found& found) {
    std::uint32_t state = 0;
    platform::read_exactly(
        found.fd.get(), &state, sizeof state,
        found.description.fields.control_offset_bytes + offsetof(layout::ControlWords, state));
    return state == layout::kLive;
}

layout::Description read_description(const Fd& fd, std::uint64_t file_bytes) {
    if (file_bytes < 2 * layout::kDescriptorPageBytes) {
        throw CorruptBytes("it is no ndshare segment (" + std::to_string(file_bytes) + " bytes)");
    }
    char page[layout::kDescriptorPageBytes];
    platform::read_exactly(fd.get(), page, sizeof page, file_bytes - sizeof page);
    auto description =
        layout::read_descriptor_page({page, sizeof page}, file_bytes, platform::page_bytes());
    if (description.name.empty()) {  // a long dtype text, in pages of its own
        std::string text(description.fields.dtype_bytes, '\0');
        platform::read_exactly(fd.get(), text.data(), text.size(),
                               description.fields.dtype_offset_bytes);
        layout::accept_dtype(description, text);
    }
    return description;
}

bool is_memory(const platform::FileStatus& status) {
    return status.regular && status.link_count == 0 && status.device == platform::memory_device() &&
           status.uid == platform::identity().uid;
}

// Memory behind a link of the book. nullopt: stale, or somebody else's.
std::optional<Found> examine_memory(Fd fd, const std::string& full_name, std::string path) {
    const auto status = platform::status_of(fd.get());
    const auto& me = platform::identity();
    if (!is_memory(status) || !platform::is_sealed(fd.get())) return std::nullopt;
    Found found{
        std::move(fd), {status.device, status.inode}, {}, status.blocks_bytes, std::move(path)};
    found.description = read_description(found.fd, status.size_bytes);
    if (found.description.name != full_name ||
        found.description.fields.pid_namespace != me.pid_namespace ||
        found.description.fields.book != current_book_id()) {
        return std::nullopt;
    }
    return found;
}

Refused cannot_follow(std::uint32_t pid) {
    return Refused("process " + std::to_string(pid) +
                   " holds it, and the kernel does not let this process reach it. Causes: the "
                   "holder dropped privileges or is not dumpable (PR_SET_DUMPABLE), has "
                   "capabilities this process lacks, another group id, a user namespace above "
                   "this one, or a security module (AppArmor, SELinux). Create it in the less "
                   "privileged process, or with persistent=True");
}

// What path (a link of the book, or /proc/pid/fd/fd) leads to: looked at before it is opened, since
// a stale one may lead to a terminal, a FIFO or a leased file by now. Only memory is opened, which
// does nothing to anybody; the descriptor in it then says whether it is the one that is meant.
std::optional<Found> follow(int folder, const std::string& path, const std::string& full_name) {
    const auto status = platform::status_behind(folder, path);
    if (!status || !is_memory(*status)) return std::nullopt;
    auto fd = platform::open_file(folder, path.c_str(), true);
    if (!fd) return std::nullopt;
    return examine_memory(std::move(*fd), full_name, path);
}

std::optional<Found> follow_link(const Fd& folder, const std::string& file,
                                 const std::string& full_name) {
    try {
        return follow(folder.get(), file, full_name);
    } catch (const SystemError& e) {
        if (e.error != EACCES && e.error != EPERM) throw;
        std::uint32_t pid = 0, number = 0;
        const auto link = platform::read_link(folder.get(), file.c_str());
        if (link) platform::parse_descriptor_path(*link, pid, number);
        throw cannot_follow(pid);
    }
}

// The last resort: every descriptor of every process of ours. Of several memories of one name
// (one may have been replaced by a process that died before saying so) the newest is meant.
std::optional<Found> search_processes(const std::string& full_name) {
    std::optional<Found> best;
    platform::scan_descriptors(
        memfd_target(full_name), [&](std::uint32_t pid, std::uint32_t number, const std::string&) {
            try {
                auto found = follow(-1, platform::descriptor_path(pid, number), full_name);
                if (found && is_live(*found) &&
                    (!best ||
                     found->description.fields.generation > best->description.fields.generation)) {
                    best = std::move(found);
                }
            } catch (const std::exception&) {
                // Of one process among many; the others are asked still.
            }
            return true;
        });
    return best;
}

// ---- the book -----------------------------------------------------------------------------------

// Links what lives: whoever makes the book may be doing so because it was deleted (RemoveIPC).
void fill_new_book(const Fd& folder) {
    struct Candidate {
        std::uint64_t generation;
        std::string path;
    };
    std::map<std::string, Candidate> newest;
    platform::scan_descriptors(
        kMemfdPrefix, [&](std::uint32_t pid, std::uint32_t number, const std::string&) {
            const std::string path = platform::descriptor_path(pid, number);
            try {
                auto fd = platform::open_file(-1, path.c_str(), true);
                if (!fd) return true;
                const auto status = platform::status_of(fd->get());
                if (!status.regular || status.device != platform::memory_device()) return true;
                const std::string name = read_description(*fd, status.size_bytes).name;
                const auto found = examine_memory(std::move(*fd), name, path);
                if (!found || !is_live(*found)) return true;
                const std::uint64_t generation = found->description.fields.generation;
                auto [entry, fresh] = newest.try_emplace(name, Candidate{generation, path});
                if (!fresh && entry->second.generation < generation) {
                    entry->second = {generation, path};
                }
            } catch (const std::exception&) {
                // Not ours, or gone meanwhile.
            }
            return true;
        });
    for (const auto& [name, candidate] : newest) {
        platform::make_link(folder.get(), layout::file_name(name), candidate.path);
    }
}

// The book appears complete: filled under another name, then renamed.
void make_book(const Fd& user_folder, const std::string& name) {
    std::uint64_t random = 0;
    platform::random_bytes(&random, sizeof random);
    const std::string fresh = ".new-" + std::to_string(random);
    platform::make_folder(user_folder.get(), fresh, 0700);
    NDSHARE_FAULT_POINT("book.after_folder");
    auto folder = platform::open_folder(user_folder.get(), fresh);
    if (!folder) throw SystemError(ENOENT, "open " + fresh);
    fill_new_book(*folder);
    NDSHARE_FAULT_POINT("book.before_folder_rename");
    if (!platform::rename_folder(user_folder.get(), fresh, name)) {
        for (const auto& entry : platform::list_folder(folder->get())) {
            platform::remove_name(folder->get(), entry);
        }
        platform::remove_folder(user_folder.get(), fresh);
    }
}

bool is_deleted(const Fd& folder) { return platform::status_of(folder.get()).link_count == 0; }

// nullptr: there is none, and none is wanted.
std::shared_ptr<Fd> book(bool make, bool check_deleted) {
    if (!is_proc_usable()) return nullptr;
    const std::string base = platform::environment("NDSHARE_DIR");
    OpenBook& open = open_book();
    const std::lock_guard lock(open.mutex);
    const bool same = open.folder && open.base == base && open.pid == platform::identity().pid;
    if (same && !(check_deleted && is_deleted(*open.folder))) return open.folder;
    open.folder.reset();
    auto user_folder = open_user_folder(make);
    if (!user_folder) return nullptr;
    const std::string name = book_folder_name();
    auto folder = platform::open_folder(user_folder->get(), name);
    if (!folder && make) {
        make_book(*user_folder, name);
        folder = platform::open_folder(user_folder->get(), name);
    }
    if (!folder) return nullptr;
    open.base = base;
    open.pid = platform::identity().pid;
    open.folder = std::make_shared<Fd>(std::move(*folder));
    return open.folder;
}

std::shared_ptr<Fd> book_to_look_in() { return book(false, false); }

// ---- the root -----------------------------------------------------------------------------------

struct Root {
    Fd folder;
    std::string path;
};
std::optional<Root> open_root(bool make) {
    const std::string chosen = platform::environment("NDSHARE_ROOT");
    if (!chosen.empty()) {
        auto folder = platform::open_folder(-1, chosen, true);
        if (!folder && make) {
            throw Refused("NDSHARE_ROOT names a folder that does not exist, " + chosen +
                          "; make it first");
        }
        if (!folder) return std::nullopt;
        return Root{std::move(*folder), chosen};
    }
    auto user_folder = open_user_folder(make);
    if (!user_folder) return std::nullopt;
    if (make) platform::make_folder(user_folder->get(), "files", 0700);
    auto folder = platform::open_folder(user_folder->get(), "files");
    if (!folder) return std::nullopt;
    return Root{std::move(*folder), persistent_folder()};
}

std::string persistent_file_name(const std::string& full_name) {
    return layout::file_name(full_name) + std::string(kFileSuffix);
}

std::optional<Found> find_file(const std::string& full_name) {
    auto root = open_root(false);
    if (!root) return std::nullopt;
    const std::string file = persistent_file_name(full_name);
    std::optional<Fd> fd;
    try {
        fd = platform::open_file(root->folder.get(), file.c_str(), false);
    } catch (const SystemError& e) {
        if (e.error != EACCES && e.error != EPERM && e.error != EROFS) throw;
        const auto status = platform::status_at(root->folder.get(), file);
        throw Refused("the file belongs to " +
                      platform::user_name(status ? status->uid : platform::identity().uid) +
                      " and cannot be opened for reading and writing, which readers need as "
                      "well; create it with permissions=0o660 and a group of both");
    }
    if (!fd) return std::nullopt;
    const auto status = platform::status_of(fd->get());
    if (!status.regular) return std::nullopt;
    Found found{std::move(*fd),
                {status.device, status.inode},
                {},
                status.blocks_bytes,
                root->path + "/" + file};
    try {
        found.description = read_description(found.fd, status.size_bytes);
    } catch (const CorruptBytes& e) {
        char magic[6] = {};
        if (status.size_bytes >= sizeof magic) {
            platform::read_exactly(found.fd.get(), magic, sizeof magic, 0);
        }
        const bool plain = std::string_view(magic, sizeof magic) == "\x93NUMPY" &&
                           std::string_view(e.what()).find("no ndshare") != std::string::npos;
        if (!plain) throw;
        throw CorruptBytes(
            "the file is a plain .npy file, no ndshare array; open it with "
            "numpy.load(\"" +
            found.path +
            "\", mmap_mode=\"r\"), or copy it in "
            "with ndshare.create(name, data=...)");
    }
    if (found.description.name != full_name) {
        throw CorruptBytes("the file says that its name is \"" + found.description.name +
                           "\"; was it copied or renamed?");
    }
    if (!is_live(found)) return std::nullopt;
    return found;
}

// Fast path in both places; link: what the book says, to tell stale from absent.
std::optional<Found> look(const std::string& full_name, bool& stale) {
    stale = false;
    if (const auto folder = book_to_look_in()) {
        const std::string file = layout::file_name(full_name);
        if (auto found = follow_link(*folder, file, full_name)) return found;
        stale = platform::read_link(folder->get(), file.c_str()) || is_deleted(*folder);
    } else {
        stale = true;  // no book: it may have been deleted over living memory
    }
    return find_file(full_name);
}

}  // namespace

std::string book_folder() {
    return base_folder() + "/" + user_folder_name() + "/" + book_folder_name();
}

std::string persistent_folder() {
    const std::string chosen = platform::environment("NDSHARE_ROOT");
    return chosen.empty() ? base_folder() + "/" + user_folder_name() + "/files" : chosen;
}

void lock_for_fork() {
    open_book().mutex.lock();
    known_id().mutex.lock();
}

void unlock_after_fork() noexcept {
    known_id().mutex.unlock();
    open_book().mutex.unlock();
}

std::optional<Found> find(const std::string& full_name, const platform::Deadline& deadline) {
    bool stale = false;
    if (auto found = look(full_name, stale)) return found;
    if (!stale) return std::nullopt;
    return NameChange(full_name, deadline).find();
}

std::string path_of(const Found& found) {
    if (found.path.starts_with('/')) return found.path;
    const auto folder = book_to_look_in();
    return folder ? platform::read_link(folder->get(), found.path.c_str()).value_or("") : "";
}

Leads where_leads(const std::string& full_name, const MemoryId& id) {
    const auto compare = [&](const platform::FileStatus& status) {
        return MemoryId{status.device, status.inode} == id ? Leads::here : Leads::elsewhere;
    };
    if (const auto folder = book_to_look_in()) {
        const auto link = platform::read_link(folder->get(), layout::file_name(full_name).c_str());
        std::uint32_t pid = 0, number = 0;
        if (link && platform::parse_descriptor_path(*link, pid, number)) {
            const auto target = platform::descriptor_target(pid, number);
            if (target && *target == memfd_target(full_name)) {
                if (const auto status = platform::status_behind(-1, *link)) return compare(*status);
            }
        }
    }
    const auto root = open_root(false);
    if (!root) return Leads::nowhere;
    const auto status = platform::status_at(root->folder.get(), persistent_file_name(full_name));
    return status ? compare(*status) : Leads::nowhere;
}

std::vector<std::string> names(const std::string& prefix) {
    std::vector<std::string> all;
    const auto add = [&](const std::string& file) {
        std::string name = layout::name_of_file(file);
        if (name.empty() || name.compare(0, prefix.size(), prefix) != 0) return;
        all.push_back(std::move(name));
    };
    if (const auto folder = book(false, true)) {
        for (const auto& file : platform::list_folder(folder->get())) {
            if (file[0] != '#') {
                add(file);
                continue;
            }
            // A hashed name: the memory itself says it.
            const auto link = platform::read_link(folder->get(), file.c_str());
            if (!link) continue;
            try {
                auto fd = platform::open_file(-1, link->c_str(), true);
                if (!fd) continue;
                const auto status = platform::status_of(fd->get());
                const auto name = read_description(*fd, status.size_bytes).name;
                if (name.compare(0, prefix.size(), prefix) == 0) all.push_back(name);
            } catch (const std::exception&) {
                // Stale; names() lists what can be named.
            }
        }
    }
    if (const auto root = open_root(false)) {
        for (const auto& file : platform::list_folder(root->folder.get())) {
            if (file.size() <= kFileSuffix.size() || !file.ends_with(kFileSuffix)) continue;
            if (file[0] != '#') {
                add(file.substr(0, file.size() - kFileSuffix.size()));
                continue;
            }
            try {
                auto fd = platform::open_file(root->folder.get(), file.c_str(), false);
                if (!fd) continue;
                const auto status = platform::status_of(fd->get());
                const auto name = read_description(*fd, status.size_bytes).name;
                if (name.compare(0, prefix.size(), prefix) == 0) all.push_back(name);
            } catch (const std::exception&) {
                // As above.
            }
        }
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

namespace {
// A replacement that was killed between its two names leaves a file that nobody would see.
void sweep_half_published(const Fd& root) {
    constexpr std::string_view kPrefix = ".swap-";
    for (const auto& file : platform::list_folder(root.get())) {
        if (!file.starts_with(kPrefix)) continue;
        const std::uint64_t byte = std::strtoull(file.c_str() + kPrefix.size(), nullptr, 10);
        const Fd lock_file = platform::open_or_make_file(root.get(), kLockFile, 0600);
        if (platform::try_record_lock(lock_file.get(), byte))
            platform::remove_name(root.get(), file);
    }
}
}  // namespace

void sweep_some_names() noexcept {
    constexpr std::size_t kLooksMax = 32;
    try {
        const auto folder = book_to_look_in();
        if (!folder) return;
        auto files = platform::list_folder(folder->get());
        std::uint64_t at = 0;
        platform::random_bytes(&at, sizeof at);
        for (std::size_t k = 0; k < std::min(kLooksMax, files.size()); ++k) {
            const std::string& file = files[(at + k) % files.size()];
            const std::string name = layout::name_of_file(file);
            const auto link = platform::read_link(folder->get(), file.c_str());
            std::uint32_t pid = 0, number = 0;
            if (name.empty() || !link || !platform::parse_descriptor_path(*link, pid, number)) {
                continue;
            }
            const auto target = platform::descriptor_target(pid, number);
            // Without waiting: somebody may be stopped in the middle of changing that name.
            if (!target || *target != memfd_target(name)) (void)find(name, platform::Deadline(0));
        }
        if (const auto root = open_root(false)) sweep_half_published(root->folder);
    } catch (const std::exception&) {
        // A look that failed; the next one will do.
    }
}

void watch_names(platform::FolderWatch& watch) {
    if (const auto folder = book(true, true)) watch.add(folder->get());
    if (const auto root = open_root(false)) watch.add(root->folder.get());
}

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
        check_proc();
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

std::uint64_t book_id() { return current_book_id(); }

void require_proc() { check_proc(); }

void set_state(const Found& found, std::uint32_t state) {
    const auto& fields = found.description.fields;
    std::byte* memory =
        platform::map(found.fd.get(), fields.control_offset_bytes, layout::kControlBytes, true);
    const layout::Control control(memory);
    // SYNC(state): hint only; the book is what decides, and sleepers ask it between slices.
    sync::Atomics::store_release(control.words().state, state);
    NDSHARE_FAULT_POINT_QUIET("book.after_state");
    sync::Ground::wake_all(control.words().version);
    sync::ring_armed(control);
    platform::unmap(memory, layout::kControlBytes);
}

}  // namespace ndshare::api
