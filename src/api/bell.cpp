#include "api/bell.h"

#include "sync/bells.h"

namespace ndshare::api {
namespace {

sync::Bells<sync::Ground> bells_of(Segment& segment) {
    return {segment.control(), segment.ground()};
}

}  // namespace

void HandleBell::make() { pipe_.emplace(platform::make_bell_pipe()); }

void HandleBell::attach(Segment& segment) {
    segment.reserve_bells();
    index_ = bells_of(segment).claim(
        segment.owner(), static_cast<std::uint32_t>(pipe_->write_end.get()), pipe_->inode);
    owner_ = segment.owner();
}

void HandleBell::detach(Segment& segment) noexcept {
    if (owner_ != 0 && owner_ == segment.owner()) {
        bells_of(segment).release(index_, owner_);
    }
    owner_ = 0;
}

void HandleBell::arm(Segment& segment) {
    platform::empty_bell(*pipe_);
    bells_of(segment).arm(index_);
}

void HandleBell::empty() { platform::empty_bell(*pipe_); }

void HandleBell::ring() noexcept {
    if (pipe_) platform::ring_own(*pipe_);
}

void ring_armed(layout::Control control) noexcept {
    sync::Ground ground;  // who lives is not asked
    sync::Bells(control, ground).ring_armed();
}

}  // namespace ndshare::api
