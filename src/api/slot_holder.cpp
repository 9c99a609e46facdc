#include "api/slot_holder.h"

#include <mutex>
#include <utility>
#include <vector>

#include "api/fork_mutex.h"

namespace ndshare::api {
namespace {

struct Known {
    ForkMutex mutex;
    std::vector<std::pair<SlotHolder*, std::weak_ptr<SlotHolder>>> all;
};
Known& known() {
    static auto* made = new Known;  // never destroyed: calls may outlive static destructors
    return *made;
}

}  // namespace

void SlotHolder::join(std::weak_ptr<SlotHolder> self) {
    auto& [mutex, all] = known();
    const std::lock_guard lock(mutex);
    all.emplace_back(this, std::move(self));
    place_ = all.size() - 1;
}

SlotHolder::~SlotHolder() {
    if (place_ == kNowhere) return;
    auto& [mutex, all] = known();
    const std::lock_guard lock(mutex);
    std::swap(all[place_], all.back());
    all[place_].first->place_ = place_;
    all.pop_back();
}

void SlotHolder::make_room_everywhere() {
    std::vector<std::shared_ptr<SlotHolder>> living;  // asked, and perhaps ended, without the mutex
    {
        auto& [mutex, all] = known();
        const std::lock_guard lock(mutex);
        living.reserve(all.size());
        for (const auto& [at, holder] : all) {
            if (auto here = holder.lock()) living.push_back(std::move(here));
        }
    }
    for (const auto& holder : living) holder->make_room();
}

}  // namespace ndshare::api
