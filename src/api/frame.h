// api/frame.h: what a Frame is behind the public header: a stream's frame, or a service's answer.
// Immutable once made. Threads: any.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "api/aligned_bytes.h"
#include "api/stream_memory.h"
#include "ndshare/stream.hpp"

namespace ndshare {

struct Frame::Impl {
    // Of a slot that lease has pinned. Copies what changes from frame to frame and checks it.
    // copy: the bytes too; the pin is given back at once. Errors: CorruptBytes, bad_alloc; then the
    // pin is still the caller's.
    static std::shared_ptr<const Impl> make(const std::shared_ptr<api::EndLease>& lease,
                                            const api::Ring::Place& place, bool copy);
    static Frame wrap(std::shared_ptr<const Impl> impl) { return Frame(std::move(impl)); }

    // REQUIRES: the rest is filled in before anybody else sees it.
    explicit Impl(std::shared_ptr<api::FrameOrigin> held) : origin(std::move(held)) {}
    ~Impl() {
        if (pinned) origin->unpin(slot);
    }
    Impl(const Impl&) = delete;

    FieldView field(std::size_t index) const;
    // The bytes become this frame's own. plan: where they lie then.
    void copy_fields(const std::vector<layout::Field>& plan, std::uint64_t bytes);

    const std::shared_ptr<api::FrameOrigin> origin;
    const std::vector<layout::Field>* plan = nullptr;
    const std::byte* begin = nullptr;  // what the plan counts from
    std::size_t slot = 0;              // in begin, and of the origin as long as it is pinned
    std::uint64_t seq = 0;
    std::int64_t time_ns = 0, steady_ns = 0;
    std::string attrs;
    std::vector<std::int64_t> extents;  // of the variable fields, one after the other
    api::AlignedBytes copied;
    bool pinned = false;
};

}  // namespace ndshare
