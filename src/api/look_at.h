// api/look_at.h: what a handle says of its memory. Threads: any. Blocks: no. Errors: Error(closed).
#pragma once
#include <memory>

namespace ndshare::api {

// Impl::Use keeps the memory while look() reads it.
template <class Impl, class Look>
auto look_at(const std::shared_ptr<Impl>& impl, Look look) {
    const typename Impl::Use use(*impl, "look");
    return look(use.memory());
}

}  // namespace ndshare::api
