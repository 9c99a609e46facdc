// api/service_memory.h: a service's segment as this process holds it, and a place (an end) in it.
// Threads: any. Processes: any. Blocks: no.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "api/book.h"
#include "api/segment.h"
#include "layout/service.h"
#include "ndshare/service.hpp"
#include "sync/request_pool.h"

namespace ndshare::api {

using Pool = sync::RequestPool<sync::Ground>;
using ServiceEnds = sync::Ends<sync::Ground, layout::ServiceControl>;

// The public words and back. Throws Invalid.
layout::ServicePlan to_service_plan(const Fields& inputs, const Fields& outputs, int slots);
// "image: (320, 320, 3) uint8 -> boxes: (20, 6) float32"
std::string service_to_string(const Fields& inputs, const Fields& outputs);

struct ServiceMemory {
    explicit ServiceMemory(std::shared_ptr<Segment> held);
    Pool pool() const { return {control, segment->ground()}; }
    ServiceEnds ends() const { return {control, segment->ground()}; }
    std::uint32_t state() const {
        return sync::Atomics::load_acquire(control.words().state);  // SYNC(state): a hint
    }
    std::uint64_t generation() const { return segment->description().fields.generation; }
    std::byte* at(const layout::Field& field, std::size_t slot) const {
        return bytes + field.offset_bytes + slot * field.stride_bytes;
    }
    const std::byte* read_only_at(const layout::Field& field, std::size_t slot) const {
        return read_only + field.offset_bytes + slot * field.stride_bytes;
    }
    std::byte* extents(const layout::Field& field, std::size_t slot) const {
        return bytes + field.shape_offset_bytes + slot * plan.extras_stride_bytes;
    }
    // The text of a call that fails; what is beyond its room is cut. By its worker, before FAILED.
    void put_error(std::size_t slot, std::string_view text) const;
    std::byte* error(std::size_t slot) const {
        return bytes + plan.error_offset_bytes + slot * plan.extras_stride_bytes;
    }

    const std::shared_ptr<Segment> segment;
    const layout::ServicePlan plan;
    const Fields inputs, results;
    const layout::ServiceControl control;
    std::byte* const bytes;            // the pool, writeable
    const std::byte* const read_only;  // the same, mapped for reading
    // Where the results lie in a copy of their own.
    std::vector<layout::Field> copy_plan;
    std::uint64_t copy_bytes = 0;
};

// A worker's or a client's place. A forked child has none (is_here() says no) until it takes one.
class ServiceLease {
 public:
    ServiceLease(std::shared_ptr<const ServiceMemory> memory, std::uint32_t kind);
    ~ServiceLease();
    ServiceLease(const ServiceLease&) = delete;

    const ServiceMemory& memory() const { return *memory_; }
    std::size_t index() const { return index_; }
    bool is_here() const { return owner_ == memory_->segment->owner(); }
    // Before the last one who knows it is gone; once is enough.
    void let_go() noexcept;

 private:
    std::shared_ptr<const ServiceMemory> memory_;
    std::size_t index_ = 0;
    std::atomic<bool> is_gone_{false};
    std::uint64_t owner_ = 0;
};

// The extents that a client wrote are within its fields'.
bool has_good_shapes(const ServiceMemory& memory, std::size_t slot);
// Attaches what a name leads to. nullptr: it has just gone. Errors: Invalid (it is no service).
std::shared_ptr<ServiceMemory> attach_service(Found&& found);

}  // namespace ndshare::api
