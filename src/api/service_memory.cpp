#include "api/service_memory.h"

#include <algorithm>
#include <cstring>

#include "api/stream_memory.h"
#include "api/views.h"
#include "base/check.h"

namespace ndshare::api {

layout::ServicePlan to_service_plan(const Fields& inputs, const Fields& outputs, int slots) {
    if (slots < static_cast<int>(layout::kRequestSlotsMin) ||
        slots > static_cast<int>(layout::kRequestSlotsMax)) {
        throw Invalid("slots must be " + std::to_string(layout::kRequestSlotsMin) + " to " +
                      std::to_string(layout::kRequestSlotsMax) + ", got " + std::to_string(slots));
    }
    std::vector<layout::Field> fields;
    for (const auto& [name, spec] : inputs) fields.push_back(to_field(name, spec));
    for (const auto& [name, spec] : outputs) {
        fields.push_back(to_field(name, spec));
        fields.back().result = true;
    }
    return layout::plan_service(std::move(fields), static_cast<std::size_t>(slots));
}

std::string service_to_string(const Fields& inputs, const Fields& outputs) {
    return fields_to_string(inputs) + " -> " + fields_to_string(outputs);
}

ServiceMemory::ServiceMemory(std::shared_ptr<Segment> held)
    : segment(std::move(held)),
      plan(layout::plan_service_of(segment->description().dtype,
                                   segment->description().fields.slot_count)),
      inputs(to_fields(plan.inputs)),
      results(to_fields(plan.results)),
      control(segment->control().base(), segment->description().fields.slot_count),
      bytes(segment->data(true)),
      read_only(segment->data(false)),
      copy_plan(plan.results) {
    layout::Cursor cursor;
    for (auto& field : copy_plan) {
        field.offset_bytes = cursor.advance(field.max_bytes, layout::kFieldAlignment);
        field.stride_bytes = 0;
    }
    copy_bytes = cursor.at();
}

void ServiceMemory::put_error(std::size_t slot, std::string_view text) const {
    const std::size_t size = std::min<std::size_t>(text.size(), layout::kErrorBytes);
    std::memcpy(error(slot), text.data(), size);
    // Relaxed: published by the state.
    sync::Atomics::store_relaxed(control.line(slot).error_bytes, static_cast<std::uint32_t>(size));
}

ServiceLease::ServiceLease(std::shared_ptr<const ServiceMemory> memory, std::uint32_t kind)
    : memory_(std::move(memory)) {
    Segment& segment = *memory_->segment;
    segment.require_attached();
    owner_ = segment.owner();
    index_ = memory_->ends().take(owner_, kind);
}

ServiceLease::~ServiceLease() { let_go(); }

void ServiceLease::let_go() noexcept {
    if (is_gone_.exchange(true)) return;
    if (is_here() && !memory_->segment->is_lost()) memory_->ends().let_go(index_, owner_);
}

bool has_good_shapes(const ServiceMemory& memory, std::size_t slot) {
    try {
        std::vector<std::int64_t> extents;
        read_extents(memory.plan.inputs, memory.bytes, slot * memory.plan.extras_stride_bytes,
                     extents);
        return true;
    } catch (const CorruptBytes&) {
        return false;
    }
}

std::shared_ptr<ServiceMemory> attach_service(Found&& found) {
    if (!found.description.is_service()) {
        throw Invalid(std::string("the name leads to ") +
                      (found.description.is_stream() ? "a stream" : "an array") +
                      ", not a service; choose another name");
    }
    const bool searched = found.searched;
    auto segment =
        Segment::attach(std::move(found.fd), found.id, std::move(found.description), true);
    if (!segment) return nullptr;
    segment->require_attached();
    if (!is_live(*segment)) return nullptr;
    if (searched) take_name(*segment);
    return std::make_shared<ServiceMemory>(std::move(segment));
}

}  // namespace ndshare::api
