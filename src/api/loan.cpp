// Loan: a slot to fill in place. Where no slot is free (drop_oldest), memory of the process's own
// is filled and the frame published if a slot comes free by then.
#include <algorithm>

#include "api/aligned_bytes.h"
#include "api/operation.h"
#include "api/publisher.h"
#include "api/views.h"
#include "base/check.h"

namespace ndshare {

using api::in_operation;
using api::StreamMemory;

struct Loan::Impl {
    explicit Impl(std::shared_ptr<Publisher::Impl> maker) : publisher(std::move(maker)) {}
    const std::shared_ptr<Publisher::Impl> publisher;
    std::shared_ptr<const StreamMemory> memory;
    std::uint64_t owner = 0;  // another than the segment's: begun before a fork
    std::optional<std::size_t> slot;
    std::shared_ptr<std::byte[]> scratch;
    std::byte* bytes = nullptr;
    std::vector<Shape> shapes;  // of each field, now; empty where none has a shape of its own
    std::optional<std::int64_t> time_ns;
    std::string attrs;
    bool open = true;

    bool is_ours() const { return owner == memory->segment->owner(); }
    void require_open(const char* operation) const {
        if (open) return;
        throw Error(Errc::closed, operation, publisher->name,
                    "this loan was published or discarded already; take another one");
    }
    FieldView field(std::size_t index) const {
        const layout::Field& plan = memory->plan.fields[index];
        return api::view_of(memory->fields[index].second, plan, bytes, 0,
                            plan.variable ? std::span<const std::int64_t>(shapes[index])
                                          : std::span<const std::int64_t>());
    }
    void put_extents() const {
        for (std::size_t k = 0; k < memory->plan.fields.size(); ++k) {
            const layout::Field& plan = memory->plan.fields[k];
            if (!plan.variable) continue;
            std::memcpy(bytes + plan.shape_offset_bytes, shapes[k].data(),
                        shapes[k].size() * sizeof(std::int64_t));
        }
    }
    void give_back() noexcept {
        if (!open) return;
        open = false;
        if (!slot || !is_ours() || memory->segment->is_lost()) return;
        memory->ring().give_back(*slot);
        memory->ends().tell_room();
    }
};

Loan::Loan(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Loan::Loan(Loan&&) noexcept = default;
Loan& Loan::operator=(Loan&& other) noexcept {
    if (this != &other) {
        discard();
        impl_ = std::move(other.impl_);
    }
    return *this;
}
Loan::~Loan() { discard(); }
void Loan::discard() noexcept {
    if (impl_) impl_->give_back();
}
bool Loan::is_open() const noexcept { return impl_ && impl_->open; }

Loan Publisher::loan() {
    auto loan = this->loan(forever);
    return std::move(*loan);
}

std::optional<Loan> Publisher::loan(Timeout timeout) {
    return in_operation("loan", impl_->name, [&]() -> std::optional<Loan> {
        const Impl::Use use(*impl_, "loan");
        impl_->require_current(use, "loan");
        impl_->ensure_lease();
        impl_->require_open_stream(use, "loan");
        auto made = std::make_unique<Loan::Impl>(impl_);
        made->memory = impl_->memory;
        made->owner = impl_->memory->segment->owner();
        const auto& fields = made->memory->plan.fields;
        if (std::any_of(fields.begin(), fields.end(), [](auto& field) { return field.variable; })) {
            for (const auto& field : fields) made->shapes.push_back(field.shape);
        }
        made->slot = impl_->claim(use, timeout);
        if (made->slot) {
            made->bytes = made->memory->slot(*made->slot);
        } else if (impl_->block) {
            return std::nullopt;
        } else {
            made->scratch = api::make_aligned(made->memory->plan.slot_bytes);
            made->bytes = made->scratch.get();
        }
        return Loan(std::move(made));
    });
}

std::optional<std::uint64_t> Loan::publish() {
    return in_operation("publish", impl_->publisher->name, [&]() -> std::optional<std::uint64_t> {
        Impl& loan = *impl_;
        loan.require_open("publish");
        if (!loan.is_ours()) {
            loan.open = false;
            throw Invalid("this loan was taken before fork(); the parent publishes it");
        }
        Publisher::Impl& publisher = *loan.publisher;
        try {
            const Publisher::Impl::Use use(publisher, "publish");
            publisher.require_current(use, "publish");
            loan.put_extents();
            if (!loan.slot) {
                // The copy is the price of a full ring.
                loan.slot = publisher.claim(use, Timeout(0));
                if (!loan.slot) {
                    loan.open = false;
                    publisher.count_dropped();
                    return std::nullopt;
                }
                std::memcpy(loan.memory->slot(*loan.slot), loan.bytes,
                            loan.memory->plan.slot_bytes);
            }
            loan.open = false;
            return publisher.commit(use, *loan.slot, {loan.time_ns, loan.attrs});
        } catch (...) {
            loan.give_back();
            throw;
        }
    });
}

void Loan::resize(const Shape& shape, std::string_view field) {
    in_operation("resize", impl_->publisher->name, [&] {
        impl_->require_open("resize");
        const std::size_t index = api::index_of(impl_->memory->fields, field);
        api::require_resizable(impl_->memory->plan.fields[index],
                               impl_->memory->fields[index].second, shape);
        impl_->shapes[index] = shape;
    });
}

void Loan::time_ns(std::int64_t stamp) noexcept { impl_->time_ns = stamp; }

void Loan::attrs_json(std::string text) {
    in_operation("attrs", impl_->publisher->name, [&] {
        api::require_frame_attrs(text);
        impl_->attrs = std::move(text);
    });
}

std::size_t Loan::field_count() const noexcept { return impl_->memory->fields.size(); }
FieldView Loan::field(std::size_t index) const { return impl_->field(index); }
std::size_t Loan::field_index(std::string_view name) const {
    return in_operation("loan", impl_->publisher->name,
                        [&] { return api::index_of(impl_->memory->fields, name); });
}
std::string_view Loan::field_name(std::size_t index) const {
    return impl_->memory->fields.at(index).first;
}
bool Loan::is_object() const noexcept { return impl_->memory->plan.is_object(); }

std::span<std::byte> Loan::bytes(std::string_view field) const {
    impl_->require_open("bytes");
    const FieldView view = impl_->field(field_index(field));
    return {const_cast<std::byte*>(view.data), view.nbytes};
}

std::shared_ptr<std::byte> Loan::memory(std::size_t index) const {
    impl_->require_open("memory");
    std::byte* at = const_cast<std::byte*>(impl_->field(index).data);
    if (impl_->scratch) return {impl_->scratch, at};
    return {impl_->memory, at};
}

FieldView Loan::checked(std::string_view field, const Dtype& dtype, std::size_t rank) const {
    impl_->require_open("view");
    const FieldView view = impl_->field(field_index(field));
    api::require_view("view", impl_->publisher->name, *view.spec, dtype, rank);
    return view;
}

}  // namespace ndshare
