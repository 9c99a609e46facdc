#include "api/operation.h"
#include "api/stream_memory.h"
#include "api/views.h"
#include "api/worker.h"
#include "base/check.h"

namespace ndshare {

using api::in_operation;

Batch::Batch(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
    impl_->input_shapes.resize(impl_->calls->memory().plan.inputs.size());
    impl_->output_shapes.resize(impl_->calls->memory().plan.results.size());
}
Batch::Batch(Batch&&) noexcept = default;
Batch& Batch::operator=(Batch&&) noexcept = default;
Batch::~Batch() = default;

std::size_t Batch::size() const noexcept { return impl_->count; }
bool Batch::is_gathered() const noexcept { return impl_->calls->is_gathered(); }
bool Batch::is_open() const noexcept { return impl_->calls->is_open(impl_->begin, impl_->count); }

void Batch::require_open(const char* operation) const {
    in_operation(operation, impl_->calls->name(), [&] {
        impl_->calls->require_ours();
        if (is_open()) return;
        throw Error(Errc::closed, operation, impl_->calls->name(), "it was answered already");
    });
}

Batch Batch::operator[](std::size_t i) { return slice(i, 1); }

Batch Batch::slice(std::size_t begin, std::size_t count) {
    return in_operation("batch", impl_->calls->name(), [&] {
        if (begin > impl_->count || count > impl_->count - begin) {
            throw Invalid("there is no call " + std::to_string(begin + count - 1) +
                          " in a batch of " + std::to_string(impl_->count));
        }
        auto part = std::make_unique<Impl>();
        part->calls = impl_->calls;
        part->begin = impl_->begin + begin;
        part->count = count;
        return Batch(std::move(part));
    });
}

void Batch::resize(const Shape& shape, std::string_view field) {
    in_operation("resize", impl_->calls->name(), [&] {
        impl_->calls->resize(api::index_of(impl_->calls->memory().results, field), impl_->begin,
                             impl_->count, shape);
    });
}

void Batch::reply() {
    in_operation("reply", impl_->calls->name(), [&] {
        if (impl_->calls->answer(impl_->begin, impl_->count) > 0 || impl_->count == 0) return;
        throw Error(Errc::closed, "reply", impl_->calls->name(), "it was answered already");
    });
}

void Batch::fail(std::string_view message) {
    in_operation("fail", impl_->calls->name(), [&] {
        if (impl_->calls->fail(impl_->begin, impl_->count, message) > 0 || impl_->count == 0) {
            return;
        }
        throw Error(Errc::closed, "fail", impl_->calls->name(), "it was answered already");
    });
}

std::size_t Batch::input_count() const noexcept {
    return impl_->calls->memory().plan.inputs.size();
}
std::size_t Batch::output_count() const noexcept {
    return impl_->calls->memory().plan.results.size();
}
std::string_view Batch::input_name(std::size_t index) const {
    return impl_->calls->memory().inputs.at(index).first;
}
std::string_view Batch::output_name(std::size_t index) const {
    return impl_->calls->memory().results.at(index).first;
}

const Spec& Batch::output_spec(std::size_t index) const {
    return impl_->calls->memory().results.at(index).second;
}

FieldView Batch::input_at(std::size_t index) const {
    Shape& shape = impl_->input_shapes.at(index);
    const std::byte* data = impl_->calls->input(index, impl_->begin, impl_->count, shape);
    const auto& field = impl_->calls->memory().plan.inputs[index];
    FieldView view{&impl_->calls->memory().inputs[index].second, shape, data, field.itemsize};
    for (const std::int64_t extent : shape) view.nbytes *= static_cast<std::size_t>(extent);
    return view;
}
FieldView Batch::output_at(std::size_t index) const {
    Shape& shape = impl_->output_shapes.at(index);
    const std::byte* data = impl_->calls->output(index, impl_->begin, impl_->count, shape);
    const auto& field = impl_->calls->memory().plan.results[index];
    FieldView view{&impl_->calls->memory().results[index].second, shape, data, field.itemsize};
    for (const std::int64_t extent : shape) view.nbytes *= static_cast<std::size_t>(extent);
    return view;
}

void Batch::fill_at(std::size_t index, const std::byte* rows) {
    in_operation("reply", impl_->calls->name(),
                 [&] { impl_->calls->fill(index, impl_->begin, impl_->count, rows); });
}

std::shared_ptr<const std::byte> Batch::memory(const std::byte* at) const {
    return {impl_->calls, at};
}

FieldView Batch::checked(bool output, std::string_view field, const Dtype& dtype,
                         std::size_t rank) const {
    return in_operation("view", impl_->calls->name(), [&] {
        const api::ServiceMemory& memory = impl_->calls->memory();
        const std::size_t index = api::index_of(output ? memory.results : memory.inputs, field);
        const FieldView view = output ? output_at(index) : input_at(index);
        if (rank == view.shape.size() && dtype == view.spec->dtype) return view;
        throw Error(Errc::spec_mismatch, "view", impl_->calls->name(),
                    "asked for " + std::to_string(rank) + " dimensions of dtype " + dtype.str() +
                        ", each call has " + to_string(*view.spec) + ", and the batch one more");
    });
}

}  // namespace ndshare
