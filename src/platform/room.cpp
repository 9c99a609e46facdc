#include "platform/room.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <optional>

#include "base/check.h"
#include "platform/kernel_text.h"

namespace ndshare::platform {
namespace {

constexpr std::uint64_t kPageTableMarginBytes = 4 << 20;
constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 60;  // v1 says 2^63 - page for "none"

std::optional<std::uint64_t> read_number(const std::string& path) {
    const std::string text = read_kernel_text(path);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) return std::nullopt;  // absent, or the word "max"
    return value;
}

// The value after a key in files such as /proc/meminfo and memory.stat; 0 when absent.
std::uint64_t keyed(std::string_view text, std::string_view key) {
    while (!text.empty()) {
        std::string_view line = take_until(text, '\n');
        if (!line.starts_with(key)) continue;
        line.remove_prefix(key.size());
        if (line.empty() || (line[0] != ' ' && line[0] != ':')) continue;
        line.remove_prefix(std::min(line.find_first_not_of(" :"), line.size()));
        std::uint64_t value = 0;
        std::from_chars(line.data(), line.data() + line.size(), value);
        return value;
    }
    return 0;
}

struct Mount {
    std::string root, point, type, options;
};

std::vector<Mount> cgroup_mounts() {
    std::vector<Mount> mounts;
    const std::string text = read_kernel_text("/proc/self/mountinfo");
    std::string_view rest = text;
    while (!rest.empty()) {
        // id parent dev root point options [tags…] - type source super-options
        std::string_view left = take_until(rest, '\n');
        const auto dash = left.find(" - cgroup");
        if (dash == std::string_view::npos) continue;
        std::string_view right = left.substr(dash + 3);
        Mount mount;
        for (int skipped = 0; skipped < 3; ++skipped) take_until(left, ' ');
        mount.root = take_until(left, ' ');
        mount.point = take_until(left, ' ');
        mount.type = take_until(right, ' ');
        take_until(right, ' ');
        mount.options = take_until(right, ' ');
        if (mount.type == "cgroup" || mount.type == "cgroup2") mounts.push_back(mount);
    }
    return mounts;
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

    // Which folders these are changes when the process is moved: then this text does.
    thread_local std::string known_text;
    thread_local std::vector<Group> known;
    std::string text = read_kernel_text("/proc/self/cgroup");
    const bool all_there = std::all_of(known.begin(), known.end(),
                                       [](const Group& group) { return is_folder(group.folder); });
    if (text != known_text || !all_there) {
        known = groups_of(text);
        known_text = std::move(text);
    }
    groups_ = known;
}

std::vector<Room::Group> Room::groups_of(std::string_view text) {
    std::vector<Group> groups;
    const auto mounts = cgroup_mounts();
    while (!text.empty()) {
        std::string_view line = take_until(text, '\n');
        take_until(line, ':');
        const std::string_view controllers = take_until(line, ':');
        const bool version_2 = controllers.empty();
        if (line.empty() || (!version_2 && !has_word(controllers, "memory"))) continue;
        std::string path(line);
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
                groups.push_back({folder, version_2});
                folder.erase(folder.rfind('/'));
            }
            break;
        }
    }
    return groups;
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
            const std::string stat = read_kernel_text(group.folder + "/memory.stat");
            const std::uint64_t reclaimable =
                group.version_2 ? keyed(stat, "inactive_file") + keyed(stat, "slab_reclaimable")
                                : keyed(stat, "total_inactive_file");
            const std::uint64_t used = *usage > reclaimable ? *usage - reclaimable : 0;
            out.push_back({"memory limit of cgroup " + group.folder,
                           "raise the memory limit of the container or group (docker run --memory)",
                           *limit, less_margin(*limit > used ? *limit - used : 0)});
        }
        const std::uint64_t kib = 1024;
        const std::string memory = read_kernel_text("/proc/meminfo");
        out.push_back(
            {"memory of this machine (MemAvailable and free swap)",
             "end what uses memory, or add swap",
             (keyed(memory, "MemTotal") + keyed(memory, "SwapTotal")) * kib,
             less_margin((keyed(memory, "MemAvailable") + keyed(memory, "SwapFree")) * kib)});
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
