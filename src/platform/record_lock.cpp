#include "platform/record_lock.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/check.h"

namespace ndshare::platform {
namespace {
struct flock bytes_of(short type, std::uint64_t first_byte, std::uint64_t count) {
    struct flock lock{};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = static_cast<off_t>(first_byte);
    lock.l_len = static_cast<off_t>(count);
    return lock;
}
}  // namespace

FileIdentity identity_of(int fd) noexcept {
    struct stat status{};
    if (fstat(fd, &status) != 0) return {};
    return {status.st_dev, status.st_ino};
}

bool try_record_lock(int fd, std::uint64_t byte) { return try_record_lock(fd, byte, 1); }

bool try_record_lock(int fd, std::uint64_t first_byte, std::uint64_t count) {
    struct flock lock = bytes_of(F_WRLCK, first_byte, count);
    if (retry_on_signal([&] { return fcntl(fd, F_OFD_SETLK, &lock); }) == 0) return true;
    if (errno == EAGAIN || errno == EACCES) return false;
    throw SystemError(errno, "fcntl(F_OFD_SETLK)");
}

void record_unlock(int fd, std::uint64_t first_byte, std::uint64_t count) noexcept {
    struct flock lock = bytes_of(F_UNLCK, first_byte, count);
    (void)fcntl(fd, F_OFD_SETLK, &lock);
}

bool is_locked_by_another(int fd, std::uint64_t byte) {
    struct flock lock = bytes_of(F_WRLCK, byte, 1);
    NDSHARE_SYSCALL("fcntl(F_OFD_GETLK)", fcntl(fd, F_OFD_GETLK, &lock));
    return lock.l_type != F_UNLCK;
}

}  // namespace ndshare::platform
