// platform/memory.h: a piece of memory that several processes map: making, reserving, mapping.
// Threads: any. Processes: any. Blocks: reserving takes time (about 0.4 s/GiB).
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "platform/fd.h"

namespace ndshare::platform {

std::uint64_t page_bytes() noexcept;

// A memfd of 0600, not executable where the kernel knows that, descriptor number >= 3, of
// file_bytes (all of it a hole) and not yet sealed.
Fd make_memory(const std::string& name, std::uint64_t file_bytes);
// From now on nobody can truncate, grow or seal it.
void seal_memory(int fd);
// Are those seals there?
bool is_sealed(int fd);
// The device number that all memfds share; a file elsewhere is none.
std::uint64_t memory_device();

// Sets a file's length (RLIMIT_FSIZE is looked at first: the kernel would send a signal).
void set_length(int fd, std::uint64_t file_bytes);
struct FilePart {
    std::uint64_t offset_bytes, bytes;
};
// Takes pages for these parts, after a look at the room for all of them; more than 2 MiB in steps,
// each after a look of its own. Throws NoRoom; what was taken stays taken until the file is closed
// or punched.
void reserve(int fd, std::initializer_list<FilePart> parts);

void read_exactly(int fd, void* out, std::size_t bytes, std::uint64_t offset_bytes);
void write_exactly(int fd, const void* in, std::size_t bytes, std::uint64_t offset_bytes);

// Shared mapping. at != nullptr: over what is there (MAP_FIXED).
std::byte* map(int fd, std::uint64_t offset_bytes, std::size_t bytes, bool writeable,
               std::byte* at = nullptr);
// No more stores through a part of a mapping.
void make_read_only(std::byte* at, std::size_t bytes);
// Private zeros over a former mapping: what a view sees when fork could not attach the child.
void map_zeros(std::byte* at, std::size_t bytes) noexcept;
void unmap(std::byte* at, std::size_t bytes) noexcept;
// Leaves the mapping out of core dumps: a crash with a large array would write it to disk first.
void exclude_from_dumps(std::byte* at, std::size_t bytes) noexcept;

}  // namespace ndshare::platform
