// platform/room.h: how much memory this process may still take, asked before the kernel is: in a
// cgroup an unchecked reservation over the limit ends in the OOM killer, not in an error.
//
// The least of: every cgroup limit from our own group up to its root (v1 and v2; what the kernel
// can reclaim counts as free), MemAvailable and free swap, and the file system where the file lies.
// 1 % and 4 MiB are kept back for page tables. A check, not a guarantee: two processes that reserve
// at the same moment can still meet the OOM killer.
// Threads: one a Room. Blocks: reads small files of /proc and /sys.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ndshare::platform {

struct RoomLimit {
    std::string what;    // "memory limit of cgroup /sys/fs/cgroup/…", "free memory (MemAvailable)"
    std::string remedy;  // "raise it (docker run --memory …)"
    std::uint64_t limit_bytes = 0, free_bytes = 0;
};

class Room {
 public:
    // For memory behind file: of a memfd memory counts, of tmpfs both, of a disk its space only.
    explicit Room(int file);
    // The tightest limit now.
    RoomLimit tightest() const;
    // Every limit that applies now, for people to read.
    std::vector<RoomLimit> limits() const;
    // Throws NoRoom with the numbers when fewer than bytes are free.
    void require(std::uint64_t bytes) const;

 private:
    struct Group {
        std::string folder;
        bool version_2;
    };
    // text: of /proc/self/cgroup.
    static std::vector<Group> groups_of(std::string_view text);
    int file_;
    bool in_memory_ = true, on_file_system_ = false;
    std::vector<Group> groups_;
};

std::string format_bytes(std::uint64_t bytes);  // "58.1 MiB"

}  // namespace ndshare::platform
