// platform/process.h: who we are, and whom /proc shows.
// Threads: any. Blocks: no, but for the scan (about 3 us a descriptor of every process).
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace ndshare::platform {

struct Identity {
    std::uint32_t pid = 0;          // getpid()
    std::uint32_t pid_in_proc = 0;  // what /proc/self says; another: /proc is of another namespace
    std::uint64_t pid_namespace = 0;  // inode of /proc/self/ns/pid
    std::uint32_t uid = 0;            // effective
    bool proc_mounted = false;
};
// Of this process. Read once; a forked child, while it has one thread, reads it again, and the
// distance of its clock (time_namespace.h).
const Identity& identity();
void refresh_identity();

// May others of our uid follow /proc/our-pid/fd? (PR_GET_DUMPABLE; setuid without exec clears it.)
bool is_dumpable() noexcept;

// The text behind /proc/pid/fd/fd; nullopt: no such process or descriptor.
// Throws SystemError(EACCES) where the kernel does not let us look.
std::optional<std::string> descriptor_target(std::uint32_t pid, std::uint32_t fd);
std::string descriptor_path(std::uint32_t pid, std::uint32_t fd);
// Inverse of descriptor_path; false: it is no such path.
bool parse_descriptor_path(std::string_view path, std::uint32_t& pid, std::uint32_t& fd);

// Every descriptor in every process of our uid and pid namespace whose target begins with prefix.
// visit answers false to stop. What is not ours to look at is left out. Errors: SystemError when
// this process lacks what a look takes (a descriptor).
using DescriptorVisit =
    std::function<bool(std::uint32_t pid, std::uint32_t fd, const std::string& target)>;
void scan_descriptors(std::string_view prefix, const DescriptorVisit& visit);

void random_bytes(void* out, std::size_t count);
std::string environment(const char* name);  // empty when unset

}  // namespace ndshare::platform
