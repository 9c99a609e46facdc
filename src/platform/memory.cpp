#include "platform/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/check.h"
#include "base/fault.h"
#include "platform/huge_pages.h"
#include "platform/room.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace ndshare::platform {
namespace {

constexpr std::uint64_t kReserveStepBytes = kHugePageBytes;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

int memfd(const std::string& name, unsigned flags) {
    return static_cast<int>(syscall(SYS_memfd_create, name.c_str(), flags));
}

}  // namespace

std::uint64_t page_bytes() noexcept {
    static const auto bytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    return bytes;
}

Fd make_memory(const std::string& name, std::uint64_t file_bytes) {
    NDSHARE_FAULT_POINT("memory.before_memfd");
    constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int raw = memfd(name, kFlags | MFD_NOEXEC_SEAL);
    if (raw == -1 && errno == EINVAL) raw = memfd(name, kFlags);  // before Linux 6.3
    if (raw == -1) throw SystemError(errno, "memfd_create");
    Fd fd(raw);
    if (raw < 3) {  // stdin, stdout or stderr were closed: a child must not get the array as one
        fd = Fd(NDSHARE_SYSCALL("fcntl(F_DUPFD_CLOEXEC)", fcntl(raw, F_DUPFD_CLOEXEC, 3)));
    }
    NDSHARE_SYSCALL("fchmod", fchmod(fd.get(), 0600));  // memfds are born 0777
    set_length(fd.get(), file_bytes);
    NDSHARE_FAULT_POINT("memory.after_memfd");
    return fd;
}

void seal_memory(int fd) {
    NDSHARE_SYSCALL("fcntl(F_ADD_SEALS)", fcntl(fd, F_ADD_SEALS, kSeals));
    NDSHARE_FAULT_POINT("memory.after_seal");
}

bool is_sealed(int fd) {
    const int seals = fcntl(fd, F_GET_SEALS);
    return seals != -1 && (seals & kSeals) == kSeals;
}

std::uint64_t memory_device() {
    static const std::uint64_t device = [] {
        const Fd probe(memfd("ndshare-probe", MFD_CLOEXEC));
        struct stat status{};
        if (!probe || fstat(probe.get(), &status) != 0) throw SystemError(errno, "memfd_create");
        return static_cast<std::uint64_t>(status.st_dev);
    }();
    return device;
}

void set_length(int fd, std::uint64_t file_bytes) {
    rlimit limit{};
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        file_bytes > limit.rlim_cur) {
        throw NoRoom(format_bytes(file_bytes) + " are needed, files of this process may have " +
                     format_bytes(limit.rlim_cur) + " (RLIMIT_FSIZE); raise it with ulimit -f");
    }
    NDSHARE_SYSCALL("ftruncate", ftruncate(fd, static_cast<off_t>(file_bytes)));
}

namespace {

// REQUIRES: there was room for all of it a moment ago.
void reserve_part(int fd, const Room& room, FilePart part) {
    std::optional<HugePages> huge;
    if (part.bytes >= kHugePageBytes) huge.emplace(fd);
    while (part.bytes > 0) {
        const std::uint64_t step = std::min(part.bytes, kReserveStepBytes);
        if (part.bytes > kReserveStepBytes) room.require(step);
        if (step == kHugePageBytes) huge->try_take(fd, part.offset_bytes);
        NDSHARE_FAULT_POINT("memory.before_reserve_step");
        // fallocate, not posix_fallocate: glibc emulates that one by writing where it is missing.
        const int result = retry_on_signal([&] {
            return fallocate(fd, 0, static_cast<off_t>(part.offset_bytes),
                             static_cast<off_t>(step));
        });
        if (result != 0) {
            if (errno == ENOSPC || errno == ENOMEM) {
                room.require(part.bytes);
                throw NoRoom(format_bytes(part.bytes) + " are needed and the kernel has none (" +
                             room.tightest().what + "); " + room.tightest().remedy);
            }
            throw SystemError(errno, "fallocate");
        }
        part.offset_bytes += step;
        part.bytes -= step;
    }
}

}  // namespace

void reserve(int fd, std::initializer_list<FilePart> parts) {
    const Room room(fd);
    // Asked for all of it first: refuse 200 GiB at once, not after filling the machine.
    std::uint64_t bytes = 0;
    for (const FilePart& part : parts) bytes += part.bytes;
    room.require(bytes);
    for (const FilePart& part : parts) reserve_part(fd, room, part);
}

void read_exactly(int fd, void* out, std::size_t bytes, std::uint64_t offset_bytes) {
    auto* at = static_cast<std::byte*>(out);
    while (bytes > 0) {
        const auto n =
            NDSHARE_SYSCALL("pread", pread(fd, at, bytes, static_cast<off_t>(offset_bytes)));
        if (n == 0) throw CorruptBytes("it ends too early: truncated");
        at += n;
        bytes -= static_cast<std::size_t>(n);
        offset_bytes += static_cast<std::uint64_t>(n);
    }
}

void write_exactly(int fd, const void* in, std::size_t bytes, std::uint64_t offset_bytes) {
    const auto* at = static_cast<const std::byte*>(in);
    while (bytes > 0) {
        const auto n =
            NDSHARE_SYSCALL("pwrite", pwrite(fd, at, bytes, static_cast<off_t>(offset_bytes)));
        at += n;
        bytes -= static_cast<std::size_t>(n);
        offset_bytes += static_cast<std::uint64_t>(n);
    }
}

namespace {
NoRoom no_address_space(std::size_t bytes) {
    return NoRoom(format_bytes(bytes) +
                  " of address space are needed, and this process gets no more of it; raise its "
                  "limit (ulimit -v, RLIMIT_AS), close what it has open, or, with very many "
                  "mappings, raise vm.max_map_count");
}
}  // namespace

std::byte* map(int fd, std::uint64_t offset_bytes, std::size_t bytes, bool writeable,
               std::byte* at) {
    const int protection = writeable ? PROT_READ | PROT_WRITE : PROT_READ;
    const int flags = MAP_SHARED | (at != nullptr ? MAP_FIXED : 0);
    void* result = mmap(at, bytes, protection, flags, fd, static_cast<off_t>(offset_bytes));
    if (result == MAP_FAILED) {
        if (errno == ENOMEM) throw no_address_space(bytes);
        throw SystemError(errno, "mmap");
    }
    return static_cast<std::byte*>(result);
}

void make_read_only(std::byte* at, std::size_t bytes) {
    if (mprotect(at, bytes, PROT_READ) != 0) throw SystemError(errno, "mprotect");
}

void map_zeros(std::byte* at, std::size_t bytes) noexcept {
    // Over a mapping of ours the kernel has no reason to refuse, and there is nobody to tell.
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    [[maybe_unused]] const void* result = mmap(at, bytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
}

void unmap(std::byte* at, std::size_t bytes) noexcept { (void)munmap(at, bytes); }

void exclude_from_dumps(std::byte* at, std::size_t bytes) noexcept {
    (void)madvise(at, bytes, MADV_DONTDUMP);
}

}  // namespace ndshare::platform
