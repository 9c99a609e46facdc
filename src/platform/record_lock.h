// platform/record_lock.h: locks on single bytes of a file, owned by an open file description (OFD,
// fcntl(2)). The kernel drops one when the description's last reference goes: its descriptors and
// the mappings made through it. So "locked" means "whoever mapped this memory so still does".
// One's own lock never shows in is_locked_by_another. Threads: any. Blocks: no.
#pragma once
#include <cstdint>

namespace ndshare::platform {

// Which file a descriptor leads to; zeros: it is not open.
struct FileIdentity {
    std::uint64_t device = 0, inode = 0;
    bool operator==(const FileIdentity&) const = default;
};
FileIdentity identity_of(int fd) noexcept;

bool try_record_lock(int fd, std::uint64_t byte);  // false: another description holds it
// All of these bytes or none, in one step.
bool try_record_lock(int fd, std::uint64_t first_byte, std::uint64_t count);
void record_unlock(int fd, std::uint64_t first_byte, std::uint64_t count = 1) noexcept;
bool is_locked_by_another(int fd, std::uint64_t byte);

}  // namespace ndshare::platform
