// platform/folder.h: directories, links and files relative to an open directory. No symbolic link
// is followed below the directory that a call begins at, unless it says so.
// Threads: any. Blocks: no longer than the file system does.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/fd.h"

namespace ndshare::platform {

struct FileStatus {
    std::uint64_t device, inode, size_bytes, blocks_bytes, link_count;
    std::uint32_t uid, gid, mode;
    bool regular, folder;
};
FileStatus status_of(int fd);
// Of a name; nullopt: there is none.
std::optional<FileStatus> status_at(int folder, const std::string& name);

// Of what a path leads to, links followed; nothing is opened. nullopt: nothing. Errors: SystemError
// (EACCES where the kernel does not let us look).
std::optional<FileStatus> status_behind(int folder, const std::string& path);

// nullopt: there is none. follow: for a path that the user or the system chose.
std::optional<Fd> open_folder(int parent, const std::string& name, bool follow = false);
bool make_folder(int parent, const std::string& name, std::uint32_t mode);  // false: exists
bool remove_folder(int parent, const std::string& name) noexcept;
std::vector<std::string> list_folder(int folder);

// The target of a symbolic link; nullopt: none there, or no link. Errors: SystemError (EACCES …).
std::optional<std::string> read_link(int folder, const char* name);
void make_link(int folder, const std::string& name, const std::string& target);
// Over whatever is there, in one step. Within one folder.
void rename_over(int folder, const std::string& from, const std::string& to);
bool rename_folder(int parent, const std::string& from, const std::string& to);  // false: taken
bool remove_name(int folder, const std::string& name);  // false: there was none

// A file for reading and writing; nullopt: none there. Not a device, FIFO or lease is waited for.
std::optional<Fd> open_file(int folder, const char* name, bool follow_link);
Fd open_or_make_file(int folder, const std::string& name, std::uint32_t mode);
// A file without a name (O_TMPFILE; where the file system or a missing /proc stands in the way, one
// named hidden_name), and the step that gives it one.
Fd make_unnamed_file(int folder, const std::string& hidden_name, std::uint32_t mode);
// false: the name is taken.
bool give_name(int fd, int folder, const std::string& name);
// Where the file is ours and has another mode (the umask took some bits).
void require_mode(int fd, std::uint32_t mode) noexcept;
void set_owner_and_mode(int fd, std::optional<std::uint32_t> gid, std::uint32_t mode);

std::optional<std::uint32_t> group_id(const std::string& group_name);
std::string user_name(std::uint32_t uid);  // the number where it has no name

}  // namespace ndshare::platform
