#include "life.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <system_error>
#include <utility>

namespace ndshare::soak {

Ledger& map_ledger(const std::string& path, bool create) {
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0), 0600);
    if (fd < 0) throw std::system_error(errno, std::generic_category(), path);
    if (create && ftruncate(fd, sizeof(Ledger)) != 0) {
        throw std::system_error(errno, std::generic_category(), path);
    }
    void* at = mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) throw std::system_error(errno, std::generic_category(), path);
    return *static_cast<Ledger*>(at);
}

Life::Life(Entry& entry, std::uint64_t id, std::uint64_t seed, std::string canary)
    : entry_(entry), id_(id), canary_(std::move(canary)), random_(seed) {
    // Odd until it has taken nothing yet: the one before it at this place may have died holding.
    entry_.frames_turn.store(entry_.frames_turn.load() | 1);
    entry_.pid.store(static_cast<std::uint32_t>(getpid()));
    entry_.lives.fetch_add(1);
    may_hold_frames(false);
    now(Doing::starting);
}

void Life::may_hold_frames(bool may) {
    const std::uint32_t turn = entry_.frames_turn.load();
    if ((turn & 1) != static_cast<std::uint32_t>(may)) entry_.frames_turn.store(turn + 1);
}

void Life::wrong(const std::string& what) {
    const std::size_t length = std::min(what.size(), sizeof(entry_.text) - 1);
    std::memcpy(entry_.text, what.data(), length);
    entry_.text[length] = '\0';
    entry_.is_wrong.store(1);
    _exit(4);
}

}  // namespace ndshare::soak
