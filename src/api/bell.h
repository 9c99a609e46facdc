// api/bell.h: a handle's descriptor for poll, select and epoll: readable while there is news. One
// for the handle's life; it moves with the handle from memory to memory.
// Threads: any, under api::bells_mutex(). fork(): the child makes one of its own.
#pragma once
#include <cstdint>
#include <optional>

#include "api/segment.h"
#include "platform/bell_pipe.h"

namespace ndshare::api {

class HandleBell {
 public:
    bool is_made() const { return pipe_.has_value(); }
    void make();
    int fd() const { return pipe_->read_end.get(); }
    // Rings of this memory come here from now on. Throws Invalid when its bells are all in use.
    void attach(Segment& segment);
    void detach(Segment& segment) noexcept;
    bool is_attached(const Segment& segment) const { return owner_ == segment.owner(); }
    // Empties it and asks the next ringer for a ring; look for news after it.
    void arm(Segment& segment);
    void empty();
    void ring() noexcept;

 private:
    std::optional<platform::BellPipe> pipe_;
    std::size_t index_ = 0;
    std::uint64_t owner_ = 0;  // 0: in no memory
};

// After news in this memory: rings the bells that are armed.
void ring_armed(layout::Control control) noexcept;

}  // namespace ndshare::api
