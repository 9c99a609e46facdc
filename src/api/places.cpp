#include "api/places.h"

#include <mutex>

#include "api/book.h"
#include "base/check.h"
#include "base/fault.h"
#include "layout/hash.h"
#include "layout/name.h"
#include "platform/folder.h"
#include "platform/process.h"

namespace ndshare::api {
namespace {

using platform::Fd;

// ---- folders ------------------------------------------------------------------------------------

std::string user_folder_name() { return "ndshare-" + std::to_string(platform::identity().uid); }
std::string book_folder_name() {
    return "pidns-" + std::to_string(platform::identity().pid_namespace);
}

// What a variable of the environment says; empty: nothing.
std::string chosen_path(const char* variable) {
    std::string path = platform::environment(variable);
    if (path.empty() || path.front() == '/') return path;
    throw Invalid(std::string(variable) + " must be an absolute path, got \"" + path + "\"");
}
std::string base_folder() {
    const std::string chosen = chosen_path("NDSHARE_DIR");
    return chosen.empty() ? "/dev/shm" : chosen;
}
void require_folder(const char* variable, const std::string& path) {
    const auto status = platform::status_behind(-1, path);
    if (status && !status->folder) {
        throw Invalid(std::string(variable) + " must name a folder, and " + path + " is none");
    }
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
    require_folder("NDSHARE_DIR", base);
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

// The book appears complete: filled under another name, then renamed.
void make_book(const Fd& user_folder, const std::string& name) {
    std::uint64_t random = 0;
    platform::random_bytes(&random, sizeof random);
    const std::string fresh = ".new-" + std::to_string(random);
    platform::make_folder(user_folder.get(), fresh, 0700);
    NDSHARE_FAULT_POINT("book.after_folder");
    auto folder = platform::open_folder(user_folder.get(), fresh);
    if (!folder) throw SystemError(ENOENT, "open " + fresh);
    const auto discard = [&] {
        for (const auto& entry : platform::list_folder(folder->get())) {
            platform::remove_name(folder->get(), entry);
        }
        platform::remove_name(folder->get(), kLockFile);
        platform::remove_folder(user_folder.get(), fresh);
    };
    try {
        fill_new_book(*folder);
    } catch (...) {
        // Mostly empty still; listing it may take what has just run out.
        if (!platform::remove_folder(user_folder.get(), fresh)) discard();
        throw;
    }
    // Never empty: rename() over an empty folder would throw away the one that somebody else has
    // just made, and works in.
    (void)platform::open_or_make_file(folder->get(), kLockFile, 0600);
    NDSHARE_FAULT_POINT("book.before_folder_rename");
    if (!platform::rename_folder(user_folder.get(), fresh, name)) discard();
}

}  // namespace

void require_proc() {
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

// Asked while a book is being filled as well, hence a lock of its own.
std::uint64_t book_id() {
    const std::string base = platform::environment("NDSHARE_DIR");
    KnownId& known = known_id();
    const std::lock_guard lock(known.mutex);
    if (known.base != base) {
        known.id = id_of_base(base_folder());
        known.base = base;
    }
    return known.id;
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

std::optional<Root> open_root(bool make) {
    const std::string chosen = chosen_path("NDSHARE_ROOT");
    if (!chosen.empty()) {
        require_folder("NDSHARE_ROOT", chosen);
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

std::string book_folder() {
    return base_folder() + "/" + user_folder_name() + "/" + book_folder_name();
}

std::string persistent_folder() {
    const std::string chosen = chosen_path("NDSHARE_ROOT");
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

void watch_names(platform::FolderWatch& watch) {
    if (const auto folder = book(true, true)) watch.add(folder->get());
    if (const auto root = open_root(false)) watch.add(root->folder.get());
}

}  // namespace ndshare::api
