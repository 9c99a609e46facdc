// api/frame.h: what a Frame is behind the public header. Immutable once made. Threads: any.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "api/aligned_bytes.h"
#include "api/stream_memory.h"
#include "ndshare/stream.hpp"

namespace ndshare {

struct Frame::Impl {
    // Of a slot that lease has pinned. Copies what changes from frame to frame and checks it.
    // copy: the bytes too; the pin is given back at once. Errors: CorruptBytes, bad_alloc (the pin
    // is given back).
    static std::shared_ptr<const Impl> make(const std::shared_ptr<api::EndLease>& lease,
                                            std::shared_ptr<const std::string> stream_name,
                                            const api::Ring::Place& place, bool copy);
    // REQUIRES: only make() calls it; what it throws leaves the pin.
    Impl(std::shared_ptr<api::EndLease> held, std::shared_ptr<const std::string> stream_name,
         const api::Ring::Place& place, bool copy);
    ~Impl();
    Impl(const Impl&) = delete;

    const api::StreamMemory& memory() const { return lease->memory(); }
    FieldView field(std::size_t index) const;

    const std::shared_ptr<api::EndLease> lease;
    const std::shared_ptr<const std::string> name;  // the user's
    const std::size_t slot;
    const std::uint64_t seq;
    std::int64_t time_ns = 0, steady_ns = 0;
    std::string attrs;
    std::vector<std::int64_t> extents;  // of the variable fields, one after the other
    api::AlignedBytes copied;
    const std::byte* bytes = nullptr;
    bool pinned = true;
};

}  // namespace ndshare
