#include "platform/room.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include "base/check.h"

namespace ndshare::platform {
namespace {

constexpr std::uint64_t kPageTableMarginBytes = 4 << 20;
constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 60;  // v1 says 2^63 - page for "none"

std::optional<std::uint64_t> read_number(const std::string& path) {
    std::ifstream in(path);
    std::uint64_t value = 0;
    if (!(in >> value)) return std::nullopt;  // absent, or the word "max"
    return value;
}

// The value after a key in files such as /proc/meminfo and memory.stat; 0 when absent.
std::uint64_t read_keyed(const std::string& path, const std::string& key) {
    std::ifstream in(path);
    std::string line;
    while (std::getline(in, line)) {
        if (line.compare(0, key.size(), key) != 0) continue;
        if (line.size() <= key.size() || (line[key.size()] != ' ' && line[key.size()] != ':')) {
            continue;
        }
        return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10);
    }
    return 0;
}

struct Mount {
    std::string root, point, type, options;
};

std::vector<Mount> cgroup_mounts() {
    std::vector<Mount> mounts;
    std::ifstream in("/proc/self/mountinfo");
    std::string line;
    while (std::getline(in, line)) {
        // id parent dev root point options [tags…] - type source super-options
        const auto dash = line.find(" - ");
        if (dash == std::string::npos) continue;
        std::istringstream left(line.substr(0, dash)), right(line.substr(dash + 3));
        std::string skip;
        Mount mount;
        left >> skip >> skip >> skip >> mount.root >> mount.point;
        right >> mount.type >> skip >> mount.options;
        if (mount.type == "cgroup" || mount.type == "cgroup2") mounts.push_back(mount);
    }
    return mounts;
}

bool has_word(const std::string& list, const std::string& word) {
    std::istringstream in(list);
    std::string item;
    while (std::getline(in, item, ',')) {
        if (item == word) return true;
    }
    return false;
}

bool is_folder(const std::string& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::uint64_t less_margin(std::uint64_t bytes) {
    const std::uint64_t margin = bytes / 100 + kPageTableMarginBytes;
    return bytes > margin ? bytes - margin : 0;
}

}  // namespace

Room::Room(int file) : file_(file) {
    struct statfs status{};
    if (file >= 0 && ::fstatfs(file, &status) == 0) {
        in_memory_ = status.f_type == TMPFS_MAGIC;
        // The kernel's own mount behind memfd has no limit and says so with 0 blocks.
        on_file_system_ = status.f_blocks > 0;
    }
    if (!in_memory_) return;

    const auto mounts = cgroup_mounts();
    std::ifstream in("/proc/self/cgroup");
    std::string line;
    while (std::getline(in, line)) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool version_2 = controllers.empty();
        if (!version_2 && !has_word(controllers, "memory")) continue;
        std::string path = line.substr(second + 1);
        for (const Mount& mount : mounts) {
            if ((mount.type == "cgroup2") != version_2) continue;
            if (!version_2 && !has_word(mount.options, "memory")) continue;
            // In a container the mount shows a part of the tree: cut what lies above it.
            if (mount.root != "/" && path.compare(0, mount.root.size(), mount.root) == 0) {
                path.erase(0, mount.root.size());
            }
            std::string folder = mount.point + (path == "/" ? "" : path);
            if (!is_folder(folder)) folder = mount.point;
            while (folder.size() >= mount.point.size()) {
                groups_.push_back({folder, version_2});
                folder.erase(folder.rfind('/'));
            }
            break;
        }
    }
}

std::vector<RoomLimit> Room::limits() const {
    std::vector<RoomLimit> out;
    if (in_memory_) {
        for (const Group& group : groups_) {
            const auto limit = read_number(
                group.folder + (group.version_2 ? "/memory.max" : "/memory.limit_in_bytes"));
            const auto usage = read_number(
                group.folder + (group.version_2 ? "/memory.current" : "/memory.usage_in_bytes"));
            if (!limit || !usage || *limit > kUnlimited) continue;
            const std::string stat = group.folder + "/memory.stat";
            const std::uint64_t reclaimable =
                group.version_2
                    ? read_keyed(stat, "inactive_file") + read_keyed(stat, "slab_reclaimable")
                    : read_keyed(stat, "total_inactive_file");
            const std::uint64_t used = *usage > reclaimable ? *usage - reclaimable : 0;
            out.push_back({"memory limit of cgroup " + group.folder,
                           "raise the memory limit of the container or group (docker run --memory)",
                           *limit, less_margin(*limit > used ? *limit - used : 0)});
        }
        const std::uint64_t kib = 1024;
        out.push_back(
            {"memory of this machine (MemAvailable and free swap)",
             "end what uses memory, or add swap",
             (read_keyed("/proc/meminfo", "MemTotal") + read_keyed("/proc/meminfo", "SwapTotal")) *
                 kib,
             less_margin((read_keyed("/proc/meminfo", "MemAvailable") +
                          read_keyed("/proc/meminfo", "SwapFree")) *
                         kib)});
    }
    struct statvfs status{};
    if (on_file_system_ && ::fstatvfs(file_, &status) == 0) {
        out.push_back({"space of the file system under NDSHARE_ROOT",
                       in_memory_ ? "enlarge it (docker run --shm-size, mount -o remount,size=) or "
                                    "set NDSHARE_ROOT to a larger one"
                                  : "free space there or set NDSHARE_ROOT to another one",
                       status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize});
    }
    return out;
}

RoomLimit Room::tightest() const {
    const auto all = limits();
    const auto least = std::min_element(all.begin(), all.end(), [](const auto& a, const auto& b) {
        return a.free_bytes < b.free_bytes;
    });
    if (least == all.end()) {
        return {"unknown", "", std::numeric_limits<std::uint64_t>::max(),
                std::numeric_limits<std::uint64_t>::max()};
    }
    return *least;
}

void Room::require(std::uint64_t bytes) const {
    const RoomLimit least = tightest();
    if (least.free_bytes >= bytes) return;
    throw NoRoom(format_bytes(bytes) + " are needed, " + format_bytes(least.free_bytes) +
                 " are free: " + least.what + ", " + format_bytes(least.limit_bytes) + " in all; " +
                 least.remedy + ", or make the array smaller");
}

std::string format_bytes(std::uint64_t bytes) {
    static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit < 6) value /= 1024, ++unit;
    char text[32];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
    return text;
}

}  // namespace ndshare::platform
