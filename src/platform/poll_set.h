// platform/poll_set.h: several descriptors behind one (epoll(7)): readable while one of them is.
// Threads: any. Processes: private; a forked child makes its own. Blocks: no.
#pragma once
#include "platform/fd.h"

namespace ndshare::platform {

class PollSet {
 public:
    PollSet();
    void add(int fd);
    void remove(int fd) noexcept;
    int fd() const { return epoll_.get(); }

 private:
    Fd epoll_;
};

}  // namespace ndshare::platform
