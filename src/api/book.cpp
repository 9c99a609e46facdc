#include "api/book.h"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "api/places.h"
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
#include "sync/peer_rows.h"
#include "sync/version.h"

namespace ndshare::api {
namespace {

using platform::Fd;

constexpr std::string_view kMemfdPrefix = "/memfd:ndshare:";

// ---- what a descriptor leads to -----------------------------------------------------------------

std::string memfd_target(const std::string& full_name) {
    return "/memfd:" + layout::memfd_name(full_name) + " (deleted)";
}

// A name leads to live memory only; what a search finds may be half built, or replaced.
std::uint32_t state_of(const Found& found) {
    std::uint32_t state = 0;
    platform::read_exactly(
        found.fd.get(), &state, sizeof state,
        found.description.fields.control_offset_bytes + offsetof(layout::ControlWords, state));
    return state;
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
        found.description.fields.book != book_id()) {
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

}  // namespace

bool may_have_a_name(std::uint32_t state) {
    return state == layout::kLive || state == layout::kReplacing;
}

std::optional<Found> find_file(const std::string& full_name, std::uint32_t& state) {
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
    state = state_of(found);
    found.in_doubt = state == layout::kReplacing;
    return found;
}

// The last resort: every descriptor of every process of ours. Of several memories of one name
// (one may have been replaced by a process that died before saying so) the newest is meant.
std::optional<Found> search_processes(const std::string& full_name, std::vector<Found>& older) {
    std::optional<Found> best;
    platform::scan_descriptors(
        memfd_target(full_name), [&](std::uint32_t pid, std::uint32_t number, const std::string&) {
            try {
                auto found = follow(-1, platform::descriptor_path(pid, number), full_name);
                if (!found) return true;
                const std::uint32_t state = state_of(*found);
                if (!may_have_a_name(state) || (best && best->id == found->id)) return true;
                found->in_doubt = state == layout::kReplacing;
                if (!best ||
                    found->description.fields.generation > best->description.fields.generation) {
                    best.swap(found);
                }
                if (found) older.push_back(std::move(*found));
            } catch (const std::exception&) {
                rethrow_shortage();
                // Of one process among many; the others are asked still.
            }
            return true;
        });
    return best;
}

// Fast path in both places; link: what the book says, to tell stale from absent.
std::optional<Found> look(const std::string& full_name, Doubt& doubt) {
    doubt = Doubt::none;
    if (const auto folder = book_to_look_in()) {
        const std::string file = layout::file_name(full_name);
        if (auto found = follow_link(*folder, file, full_name)) {
            const std::uint32_t state = state_of(*found);
            found->in_doubt = state == layout::kReplacing;
            if (found->in_doubt) doubt = Doubt::changing;
            if (may_have_a_name(state)) return found;
            doubt = Doubt::changing;  // unlinked: the link is about to go, or its remover died
        } else if (platform::read_link(folder->get(), file.c_str()) || is_deleted(*folder)) {
            doubt = Doubt::stale;
        }
    } else {
        doubt = Doubt::stale;  // no book: it may have been deleted over living memory
    }
    std::uint32_t state = 0;
    auto found = find_file(full_name, state);
    if (!found) return std::nullopt;
    if (state == layout::kLive) {
        doubt = Doubt::none;
        return found;
    }
    if (doubt == Doubt::none) doubt = Doubt::changing;
    if (!found->in_doubt) return std::nullopt;
    return found;
}

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
                if (!found || !may_have_a_name(state_of(*found))) return true;
                const std::uint64_t generation = found->description.fields.generation;
                auto [entry, fresh] = newest.try_emplace(name, Candidate{generation, path});
                if (!fresh && entry->second.generation < generation) {
                    entry->second = {generation, path};
                }
            } catch (const std::exception&) {
                rethrow_shortage();
                // Not ours, or gone meanwhile.
            }
            return true;
        });
    for (const auto& [name, candidate] : newest) {
        platform::make_link(folder.get(), layout::file_name(name), candidate.path);
    }
}

std::optional<Found> find(const std::string& full_name, const platform::Deadline& deadline) {
    Doubt doubt = Doubt::none;
    auto found = look(full_name, doubt);
    if (doubt == Doubt::none) return found;
    try {
        return NameChange(full_name, doubt == Doubt::stale ? deadline : platform::Deadline(0))
            .find();
    } catch (const TimedOut&) {
        if (doubt == Doubt::stale) throw;
        return found;  // he lives, and is not waited for
    }
}

std::string full_name_of(std::string_view name) {
    return layout::full_name(platform::environment("NDSHARE_NAMESPACE"), name);
}

std::uint64_t first_generation() {
    return static_cast<std::uint64_t>(platform::realtime_ns() / 1000);
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
                rethrow_shortage();
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
                rethrow_shortage();
                // As above.
            }
        }
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

namespace {
// Who was killed between the two names of a change leaves one that nobody would see.
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
        sweep_half_published(*folder);
        if (const auto root = open_root(false)) sweep_half_published(root->folder);
    } catch (const std::exception&) {
        // A look that failed; the next one will do.
    }
}

}  // namespace ndshare::api
