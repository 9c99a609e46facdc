// platform/fd.h: an owned file descriptor. Move-only; closing never fails the caller.
// Threads: one owner. Processes: close-on-exec everywhere in this library.
#pragma once
#include <unistd.h>

#include <utility>

namespace ndshare::platform {

class Fd {
 public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~Fd() { reset(); }
    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }
    void reset() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    explicit operator bool() const { return fd_ >= 0; }

 private:
    int fd_ = -1;
};

// from's description under to's number; from's own number is given back. noexcept, for a child
// between fork() and its return: the kernel fails only for numbers that are not open.
void move_descriptor(Fd& from, const Fd& to) noexcept;

}  // namespace ndshare::platform
