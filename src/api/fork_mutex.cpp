#include "api/fork_mutex.h"

#include <set>

#include "platform/clock.h"

namespace ndshare::api {
namespace {

struct Known {
    std::mutex mutex;
    std::set<ForkMutex*> all;
};
Known& known() {
    static auto* made = new Known;  // never destroyed: handles may outlive static destructors
    return *made;
}

}  // namespace

ForkMutex::ForkMutex() {
    const std::lock_guard lock(known().mutex);
    known().all.insert(this);
}

ForkMutex::~ForkMutex() {
    const std::lock_guard lock(known().mutex);
    known().all.erase(this);
}

void ForkMutex::lock_all() {
    for (;;) {
        known().mutex.lock();
        auto& all = known().all;
        auto at = all.begin();
        while (at != all.end() && (*at)->try_lock()) ++at;
        if (at == all.end()) return;
        while (at != all.begin()) (*--at)->unlock();
        known().mutex.unlock();
        platform::sleep_ns(10'000);
    }
}

void ForkMutex::unlock_all() noexcept {
    for (ForkMutex* one : known().all) one->unlock();
    known().mutex.unlock();
}

}  // namespace ndshare::api
