#include "platform/folder_watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>

#include "platform/process.h"

namespace ndshare::platform {
namespace {
constexpr std::int64_t kUnwatchedSleepNs = 10'000'000;
}

FolderWatch::FolderWatch() : inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {}

void FolderWatch::add(int folder) noexcept {
    if (!inotify_) return;
    const std::string path = "/proc/self/fd/" + std::to_string(folder);
    watching_ |= inotify_add_watch(inotify_.get(), path.c_str(),
                                   IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR) >= 0;
}

void FolderWatch::wait(std::int64_t timeout_ns) noexcept {
    if (!watching_) timeout_ns = std::min(timeout_ns, kUnwatchedSleepNs);
    const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000),
                           static_cast<long>(timeout_ns % 1'000'000'000)};
    pollfd entry{inotify_.get(), POLLIN, 0};
    if (ppoll(&entry, watching_ ? 1 : 0, &timeout, nullptr) > 0) empty();
}

void FolderWatch::empty() noexcept {
    alignas(inotify_event) char events[4096];
    while (::read(inotify_.get(), events, sizeof events) > 0) {
    }
}

}  // namespace ndshare::platform
