#include "platform/poll_set.h"

#include <sys/epoll.h>

#include "base/check.h"

namespace ndshare::platform {

PollSet::PollSet() : epoll_(NDSHARE_SYSCALL("epoll_create1", epoll_create1(EPOLL_CLOEXEC))) {}

void PollSet::add(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    NDSHARE_SYSCALL("epoll_ctl", epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event));
}

void PollSet::remove(int fd) noexcept { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

}  // namespace ndshare::platform
