#include "platform/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/check.h"
#include "platform/fd.h"
#include "platform/time_namespace.h"

namespace ndshare::platform {
namespace {

bool parse_number(std::string_view text, std::uint32_t& out) {
    const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
    return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

std::uint64_t namespace_inode(const char* path) {
    struct stat status{};
    return ::stat(path, &status) == 0 ? status.st_ino : 0;
}

Identity read_identity() {
    Identity me;
    me.pid = static_cast<std::uint32_t>(::getpid());
    me.uid = ::geteuid();
    std::array<char, 32> text;
    const auto n = ::readlink("/proc/self", text.data(), text.size());
    if (n > 0 && parse_number({text.data(), static_cast<std::size_t>(n)}, me.pid_in_proc)) {
        me.proc_mounted = true;
        me.pid_namespace = namespace_inode("/proc/self/ns/pid");
    }
    return me;
}

Identity& own_identity() {
    static Identity me = read_identity();
    return me;
}

using OpenFolder = std::unique_ptr<DIR, int (*)(DIR*)>;
// nullptr: it is gone, or not ours to look into.
OpenFolder open_entries(const char* path) {
    DIR* folder = opendir(path);
    if (folder == nullptr) {
        const SystemError error(errno, std::string("open ") + path);
        if (error.is_shortage()) throw error;
    }
    return {folder, closedir};
}

}  // namespace

const Identity& identity() { return own_identity(); }

void refresh_identity() {
    own_identity() = read_identity();
    look_at_time_namespace();
}

bool is_dumpable() noexcept { return prctl(PR_GET_DUMPABLE) == 1; }

std::string descriptor_path(std::uint32_t pid, std::uint32_t fd) {
    char path[48];
    std::snprintf(path, sizeof path, "/proc/%u/fd/%u", pid, fd);
    return path;
}

bool parse_descriptor_path(std::string_view path, std::uint32_t& pid, std::uint32_t& fd) {
    constexpr std::string_view kProc = "/proc/", kFd = "/fd/";
    if (path.substr(0, kProc.size()) != kProc) return false;
    path.remove_prefix(kProc.size());
    const auto at = path.find(kFd);
    if (at == std::string_view::npos) return false;
    return parse_number(path.substr(0, at), pid) && parse_number(path.substr(at + kFd.size()), fd);
}

std::optional<std::string> descriptor_target(std::uint32_t pid, std::uint32_t fd) {
    std::array<char, PATH_MAX> target;
    const auto n = ::readlink(descriptor_path(pid, fd).c_str(), target.data(), target.size());
    if (n >= 0) return std::string(target.data(), static_cast<std::size_t>(n));
    if (errno == ENOENT || errno == ESRCH || errno == ENOTDIR) return std::nullopt;
    throw SystemError(errno, "readlink " + descriptor_path(pid, fd));
}

void scan_descriptors(std::string_view prefix, const DescriptorVisit& visit) {
    const Identity me = identity();
    const OpenFolder processes = open_entries("/proc");
    if (!processes) return;
    while (const dirent* process = readdir(processes.get())) {
        std::uint32_t pid = 0;
        if (!parse_number(process->d_name, pid)) continue;
        const std::string folder = "/proc/" + std::string(process->d_name);
        struct stat status{};
        if (::stat(folder.c_str(), &status) != 0 || status.st_uid != me.uid) continue;
        if (namespace_inode((folder + "/ns/pid").c_str()) != me.pid_namespace) continue;
        const OpenFolder descriptors = open_entries((folder + "/fd").c_str());
        const int at = descriptors ? dirfd(descriptors.get()) : -1;
        if (at < 0) continue;
        while (const dirent* entry = readdir(descriptors.get())) {
            std::uint32_t fd = 0;
            if (!parse_number(entry->d_name, fd)) continue;
            std::array<char, PATH_MAX> target;
            const auto n = ::readlinkat(at, entry->d_name, target.data(), target.size());
            if (n <= 0) continue;
            const std::string_view text(target.data(), static_cast<std::size_t>(n));
            if (text.substr(0, prefix.size()) != prefix) continue;
            if (!visit(pid, fd, std::string(text))) return;
        }
    }
}

void random_bytes(void* out, std::size_t count) {
    auto* at = static_cast<char*>(out);
    while (count > 0) {
        const auto n = NDSHARE_SYSCALL("getrandom", ::getrandom(at, count, 0));
        at += n;
        count -= static_cast<std::size_t>(n);
    }
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

}  // namespace ndshare::platform
