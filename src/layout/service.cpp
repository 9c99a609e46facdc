#include "layout/service.h"

#include "base/check.h"

namespace ndshare::layout {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

std::uint64_t round_up(std::uint64_t value, std::uint64_t step) {
    return (value + step - 1) / step * step;
}

std::uint64_t product(std::uint64_t bytes, std::size_t count) {
    std::uint64_t all = 0;
    if (__builtin_mul_overflow(bytes, count, &all))
        throw Invalid("more than 2^62 bytes are needed");
    return all;
}

}  // namespace

ServicePlan plan_service(std::vector<Field> fields, std::size_t slot_count) {
    complete_fields(fields);
    ServicePlan plan;
    Cursor pool, extras;
    for (Field& field : fields) {
        if (field.fortran) {
            throw Invalid("\"" + field.name +
                          "\" has Fortran order; inputs and outputs of a service have C order");
        }
        if (field.object) throw Invalid("\"" + field.name + "\" is no array");
        const std::uint64_t all = product(field.max_bytes, slot_count);
        field.stride_bytes = field.max_bytes;
        field.offset_bytes =
            pool.advance(all, all >= 16 * kPageBytes ? kPageBytes : kFieldAlignment);
        if (field.variable) {
            field.shape_offset_bytes = extras.advance(field.shape.size() * sizeof(std::int64_t), 8);
        }
        (field.result ? plan.results : plan.inputs).push_back(std::move(field));
    }
    if (plan.inputs.empty()) throw Invalid("a service has at least one input");
    if (plan.results.empty()) throw Invalid("a service has at least one output");
    const std::uint64_t error = extras.advance(kErrorBytes, 8);
    plan.extras_stride_bytes = round_up(extras.at(), kFieldAlignment);
    const std::uint64_t begin =
        pool.advance(product(plan.extras_stride_bytes, slot_count), kFieldAlignment);
    plan.error_offset_bytes = begin + error;
    for (auto* side : {&plan.inputs, &plan.results}) {
        for (Field& field : *side) field.shape_offset_bytes += begin;
    }
    plan.pool_bytes = round_up(pool.at(), kFieldAlignment);
    return plan;
}

std::string service_text(const ServicePlan& plan) {
    return fields_text(plan.inputs) + fields_text(plan.results);
}

ServicePlan plan_service_of(std::string_view text, std::size_t slot_count) {
    return plan_service(parse_field_lines(text), slot_count);
}

std::string npy_descr_of_pool(const ServicePlan& plan, std::size_t slot_count) {
    std::string text = "[";
    std::uint64_t at = 0;
    const auto pad_to = [&](std::uint64_t offset) {
        if (offset > at) text += npy_descr_of_padding(offset - at) + ", ";
        at = offset;
    };
    for (const auto* side : {&plan.inputs, &plan.results}) {
        for (Field field : *side) {
            pad_to(field.offset_bytes);
            field.name = (field.result ? "out." : "in.") + field.name;
            text += npy_descr_of(field, slot_count) + ", ";
            at += field.stride_bytes * slot_count;
        }
    }
    pad_to(plan.pool_bytes);
    text.resize(text.size() - 2);
    return text + "]";
}

ServicePlaces service_places(std::size_t slot_count) {
    ServicePlaces places{};
    places.states_offset = sizeof(ServiceWords);
    places.lines_offset = round_up(places.states_offset + slot_count * sizeof(Word64), kCacheLine);
    places.ends_offset = places.lines_offset + slot_count * sizeof(RequestLine);
    places.workers_offset = places.ends_offset + kEndCount * sizeof(End);
    places.bytes = round_up(places.workers_offset + kEndCount * sizeof(WorkerLine), kPageBytes);
    return places;
}

}  // namespace ndshare::layout
