// api/slot_holder.h: what this process has in slots that it could give back. Who waits for a slot
// asks all of them first: two clients that each keep what came, and wait for one slot more, would
// wait for each other for ever.
// Threads: any. Blocks: no.
#pragma once
#include <cstddef>
#include <memory>

namespace ndshare::api {

class SlotHolder {
 public:
    SlotHolder(const SlotHolder&) = delete;
    // Gives the slot back, if that loses nothing. Called on any thread of the process.
    virtual void make_room() noexcept = 0;
    static void make_room_everywhere();

 protected:
    SlotHolder() = default;
    virtual ~SlotHolder();
    // self: this. Once.
    void join(std::weak_ptr<SlotHolder> self);

 private:
    static constexpr std::size_t kNowhere = ~std::size_t{0};
    std::size_t place_ = kNowhere;  // among all; under their mutex
};

}  // namespace ndshare::api
