#include "raw_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace ndshare::soak {
namespace {

template <class T>
T at(const std::byte* page, std::size_t offset) {
    T value;
    std::memcpy(&value, page + offset, sizeof value);
    return value;
}

std::size_t up(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

std::unique_ptr<RawSegment> RawSegment::map(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return nullptr;
    struct stat found{};
    if (fstat(fd, &found) != 0 || found.st_size < 8192) {
        close(fd);
        return nullptr;
    }
    const auto bytes = static_cast<std::size_t>(found.st_size);
    void* base = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        close(fd);
        return nullptr;
    }
    const auto* begin = static_cast<const std::byte*>(base);
    // The holder has closed it since its path was looked up, and the number is another file's: one
    // that is none of ours, or is just being made.
    if (std::memcmp(begin + bytes - 4096, "ndshare\0", 8) != 0) {
        munmap(base, bytes);
        close(fd);
        return nullptr;
    }
    return std::unique_ptr<RawSegment>(new RawSegment(fd, begin, bytes));
}

RawSegment::RawSegment(int fd, const std::byte* base, std::size_t bytes)
    : fd_(fd), base_(base), bytes_(bytes) {
    const std::byte* page = base + bytes - 4096;
    kind_ = at<std::uint32_t>(page, 24);
    generation_ = at<std::uint64_t>(page, 32);
    data_offset_ = at<std::uint64_t>(page, 80);
    control_offset_ = at<std::uint64_t>(page, 96);
    itemsize_ = at<std::uint64_t>(page, 112);
    slots_ = at<std::uint32_t>(page, 976);
}

RawSegment::~RawSegment() {
    munmap(const_cast<std::byte*>(base_), bytes_);
    close(fd_);
}

bool RawSegment::is_zero(std::size_t begin, std::size_t end) const {
    const std::byte* control = base_ + control_offset_;
    return std::all_of(control + begin, control + end,
                       [](std::byte byte) { return byte == std::byte{0}; });
}

std::size_t RawSegment::history_count() const {
    std::size_t count = 16;
    while (count < 2 * slots_) count *= 2;
    return count;
}

std::size_t RawSegment::slot_line(std::size_t slot) const {
    return kControlBytes + up(8 * history_count(), 64) + 64 * slot;
}

std::size_t RawSegment::end(std::size_t index) const {
    if (kind_ == 3) return request_line(slots_) + 64 * index;
    const std::size_t end_bytes = up(std::max<std::size_t>(64, 32 + 8 * ((slots_ + 63) / 64)), 64);
    return slot_line(slots_) + end_bytes * index;
}

std::size_t RawSegment::request_line(std::size_t slot) const {
    return up(state(slots_) - kControlBytes, 64) + kControlBytes + 64 * slot;
}

bool RawSegment::is_row_alive(std::size_t index) const {
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = static_cast<off_t>(index);
    lock.l_len = 1;
    return fcntl(fd_, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace ndshare::soak
