// platform/folder_watch.h: sleeping until something appears in one of a few folders (inotify(7)).
// Threads: one owner. Blocks: wait only.
#pragma once
#include <cstdint>

#include "platform/fd.h"

namespace ndshare::platform {

class FolderWatch {
 public:
    FolderWatch();
    // Entries made in, or moved into, this folder; repeated calls are harmless.
    void add(int folder) noexcept;
    // At most timeout_ns; returns early on any change and on signals.
    void wait(std::int64_t timeout_ns) noexcept;
    // For poll(2): readable once something changed, until emptied; negative: there is none.
    int fd() const noexcept { return inotify_.get(); }
    void empty() noexcept;

 private:
    Fd inotify_;  // empty when the user has no instances left: wait is then a plain, short sleep
    bool watching_ = false;
};

}  // namespace ndshare::platform
