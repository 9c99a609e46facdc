#include "api/bell.h"

#include "sync/bells.h"

namespace ndshare::api {

void HandleBell::make() { pipe_.emplace(platform::make_bell_pipe()); }

void HandleBell::attach(Segment& segment) {
    segment.reserve_bells();
    index_ = sync::claim_bell(segment.control(), segment.ground(), segment.owner(),
                              static_cast<std::uint32_t>(pipe_->write_end.get()), pipe_->inode);
    owner_ = segment.owner();
}

void HandleBell::detach(Segment& segment) noexcept {
    if (owner_ != 0 && owner_ == segment.owner()) {
        sync::release_bell(segment.control(), index_, owner_);
    }
    owner_ = 0;
}

void HandleBell::arm(Segment& segment) {
    platform::empty_bell(*pipe_);
    sync::arm_bell(segment.control(), index_);
}

void HandleBell::empty() { platform::empty_bell(*pipe_); }

void HandleBell::ring() noexcept {
    if (pipe_) platform::ring_own(*pipe_);
}

}  // namespace ndshare::api
