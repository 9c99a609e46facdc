#include "platform/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <memory>

#include "base/check.h"
#include "platform/process.h"

namespace ndshare::platform {
namespace {

FileStatus convert(const struct stat& s) {
    return {static_cast<std::uint64_t>(s.st_dev),
            static_cast<std::uint64_t>(s.st_ino),
            static_cast<std::uint64_t>(s.st_size),
            static_cast<std::uint64_t>(s.st_blocks) * 512,
            static_cast<std::uint64_t>(s.st_nlink),
            s.st_uid,
            s.st_gid,
            s.st_mode & 07777U,
            S_ISREG(s.st_mode),
            S_ISDIR(s.st_mode)};
}

bool says_none(int error) { return error == ENOENT || error == ENOTDIR; }

}  // namespace

FileStatus status_of(int fd) {
    struct stat status{};
    NDSHARE_SYSCALL("fstat", fstat(fd, &status));
    return convert(status);
}

std::optional<FileStatus> status_at(int folder, const std::string& name) {
    struct stat status{};
    if (fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return convert(status);
    if (says_none(errno)) return std::nullopt;
    throw SystemError(errno, "fstatat");
}

std::optional<FileStatus> status_behind(int folder, const std::string& path) {
    struct stat status{};
    if (fstatat(folder, path.c_str(), &status, 0) == 0) return convert(status);
    if (says_none(errno) || errno == ESRCH || errno == ELOOP) return std::nullopt;
    throw SystemError(errno, "stat");
}

std::optional<Fd> open_folder(int parent, const std::string& name, bool follow) {
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);
    const int fd = retry_on_signal([&] { return openat(parent, name.c_str(), flags); });
    if (fd >= 0) return Fd(fd);
    if (errno == ENOENT) return std::nullopt;
    throw SystemError(errno, "open " + name);
}

bool make_folder(int parent, const std::string& name, std::uint32_t mode) {
    if (mkdirat(parent, name.c_str(), mode) == 0) return true;
    if (errno == EEXIST) return false;
    throw SystemError(errno, "mkdir " + name);
}

bool remove_folder(int parent, const std::string& name) noexcept {
    return unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0;
}

std::vector<std::string> list_folder(int folder) {
    // A description of its own: the caller's has one position for all its users.
    const int fd = NDSHARE_SYSCALL("open", openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    DIR* raw = fdopendir(fd);
    if (raw == nullptr) {
        const int error = errno;
        ::close(fd);
        throw SystemError(error, "fdopendir");
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(raw, closedir);
    std::vector<std::string> names;
    while (const dirent* entry = readdir(entries.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    return names;
}

std::optional<std::string> read_link(int folder, const char* name) {
    std::array<char, PATH_MAX> target;
    const auto n = readlinkat(folder, name, target.data(), target.size());
    if (n >= 0) return std::string(target.data(), static_cast<std::size_t>(n));
    if (says_none(errno) || errno == EINVAL) return std::nullopt;
    throw SystemError(errno, "readlink");
}

void make_link(int folder, const std::string& name, const std::string& target) {
    NDSHARE_SYSCALL("symlink", symlinkat(target.c_str(), folder, name.c_str()));
}

void rename_over(int folder, const std::string& from, const std::string& to) {
    NDSHARE_SYSCALL("rename", renameat(folder, from.c_str(), folder, to.c_str()));
}

bool rename_folder(int parent, const std::string& from, const std::string& to) {
    if (renameat(parent, from.c_str(), parent, to.c_str()) == 0) return true;
    if (errno == ENOTEMPTY || errno == EEXIST) return false;
    throw SystemError(errno, "rename " + from);
}

bool remove_name(int folder, const std::string& name) {
    if (unlinkat(folder, name.c_str(), 0) == 0) return true;
    if (says_none(errno)) return false;
    throw SystemError(errno, "unlink");
}

std::optional<Fd> open_file(int folder, const char* name, bool follow_link) {
    // O_NOCTTY, O_NONBLOCK: a stale link may lead to a terminal, a FIFO or a leased file by now.
    const int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (follow_link ? 0 : O_NOFOLLOW);
    const int fd = retry_on_signal([&] { return openat(folder, name, flags); });
    if (fd >= 0) {
        if (fd >= 3) return Fd(fd);
        const Fd low(fd);
        return Fd(NDSHARE_SYSCALL("fcntl(F_DUPFD_CLOEXEC)", fcntl(fd, F_DUPFD_CLOEXEC, 3)));
    }
    if (says_none(errno) || errno == ENXIO || errno == ELOOP || errno == EISDIR) {
        return std::nullopt;
    }
    throw SystemError(errno, "open");
}

Fd open_or_make_file(int folder, const std::string& name, std::uint32_t mode) {
    return Fd(NDSHARE_SYSCALL(
        "open " + name,
        openat(folder, name.c_str(),
               O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, mode)));
}

Fd make_unnamed_file(int folder, const std::string& hidden_name, std::uint32_t mode) {
    int fd = -1;
    if (identity().proc_mounted) {
        fd = openat(folder, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, mode);
        const bool cannot = errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT;
        if (fd < 0 && !cannot) throw SystemError(errno, "open(O_TMPFILE)");
    }
    if (fd < 0) {
        fd = openat(folder, hidden_name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    }
    if (fd < 0) throw SystemError(errno, "open " + hidden_name);
    return Fd(fd);
}

bool give_name(int fd, int folder, const std::string& name) {
    const auto status = status_of(fd);
    if (status.link_count == 0) {
        char path[64];
        std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (linkat(AT_FDCWD, path, folder, name.c_str(), AT_SYMLINK_FOLLOW) == 0) return true;
    } else {
        // It has a name of its own already: found by what it is, since only that cannot be wrong.
        for (const auto& hidden : list_folder(folder)) {
            const auto other = status_at(folder, hidden);
            if (!other || other->inode != status.inode || other->device != status.device) continue;
            if (renameat2(folder, hidden.c_str(), folder, name.c_str(), RENAME_NOREPLACE) == 0) {
                return true;
            }
            break;
        }
    }
    if (errno == EEXIST) return false;
    throw SystemError(errno, "link");
}

void require_mode(int fd, std::uint32_t mode) noexcept {
    struct stat status{};
    if (fstat(fd, &status) == 0 && status.st_uid == geteuid() && (status.st_mode & 0777U) != mode) {
        (void)!fchmod(fd, mode);
    }
}

void set_owner_and_mode(int fd, std::optional<std::uint32_t> gid, std::uint32_t mode) {
    if (gid) NDSHARE_SYSCALL("fchown", fchown(fd, static_cast<uid_t>(-1), *gid));
    NDSHARE_SYSCALL("fchmod", fchmod(fd, mode));
}

std::optional<std::uint32_t> group_id(const std::string& group_name) {
    std::array<char, 16384> buffer;
    group entry{};
    group* found = nullptr;
    getgrnam_r(group_name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) return found->gr_gid;
    std::uint32_t number = 0;  // a number, also one that has no name
    const char* end = group_name.data() + group_name.size();
    const auto parsed = std::from_chars(group_name.data(), end, number);
    if (group_name.empty() || parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
    return number;
}

std::string user_name(std::uint32_t uid) {
    std::array<char, 16384> buffer;
    passwd entry{};
    passwd* found = nullptr;
    getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
    return found != nullptr ? std::string(found->pw_name) : "uid " + std::to_string(uid);
}

}  // namespace ndshare::platform
