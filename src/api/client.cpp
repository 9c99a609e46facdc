#include "api/client.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "api/attrs.h"
#include "api/bell.h"
#include "api/interrupt.h"
#include "api/operation.h"
#include "api/stream_memory.h"
#include "base/check.h"
#include "platform/folder_watch.h"
#include "sync/request_wait.h"

namespace ndshare {
namespace {

using api::in_operation;
using api::ServiceMemory;

constexpr std::int64_t kNameLookPeriodNs = 15'000'000;
constexpr std::size_t kShareMin = 2;

struct Moved : std::exception {};  // the service has new memory

}  // namespace

Client::Client(std::string_view name, const ClientOptions& options) {
    in_operation("connect", name, [&] {
        if (options.priority < -layout::kPriorityMax || options.priority > layout::kPriorityMax) {
            throw Invalid("priority must be -100 to 100, got " + std::to_string(options.priority));
        }
        impl_ = std::make_shared<Impl>(
            std::string(name),
            options.full_name.empty() ? api::full_name_of(name) : options.full_name, options);
        // Early, so that the workers see it; what is wrong is said by calls, since it may be mended
        // by then.
        try {
            in_operation("connect", name, [&] { (void)impl_->seat(); });
        } catch (const Error&) {
        }
    });
}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&& other) noexcept {
    if (this != &other) {
        close();
        impl_ = std::move(other.impl_);
    }
    return *this;
}
Client::~Client() { close(); }
void Client::close() noexcept {
    if (impl_) impl_->close();
}
bool Client::closed() const noexcept { return !impl_ || impl_->gate.closed(); }

Client::Impl::Use::Use(Impl& impl, const char* operation) : impl_(impl) {
    const bool inside = impl.gate.enter();
    if (inside && !impl.gate.closed()) return;
    if (inside) impl.leave();
    throw Error(Errc::closed, operation, *impl.name, "this client is closed; make another one");
}

void Client::Impl::leave() noexcept {
    if (!gate.leave()) return;
    Seat former;  // let go of without the mutex: the last one passes the name on, which may wait
    const std::lock_guard lock(mutex_);
    former = detach();
}

void Client::Impl::close() noexcept {
    if (!gate.close()) return;
    {
        const std::lock_guard lock(mutex_);
        if (seat_.memory) {
            // Those of this handle that sleep; others look once more.
            sync::Ground::wake_all(seat_.memory->control.words().room);
            for (std::size_t slot = 0; slot < seat_.memory->control.slot_count(); ++slot) {
                sync::Ground::wake_all(seat_.memory->control.state(slot));
            }
            api::ring_armed(seat_.memory->control.common());
        }
    }
    leave();
}

void Client::Impl::require_open(const char* operation) const {
    if (!gate.closed()) return;
    throw Error(Errc::closed, operation, *name, "the client was closed while waiting");
}

// Calls that are kept know the place still; nobody need count this client any more.
Client::Impl::Seat Client::Impl::detach() noexcept {
    if (seat_.lease) seat_.lease->let_go();
    return std::exchange(seat_, {});
}

// REQUIRES: mutex_.
bool Client::Impl::leads_elsewhere_locked(const ServiceMemory& memory) {
    if (memory.state() == layout::kReplaced) return true;
    const std::int64_t now = platform::monotonic_ns();
    if (now - name_looked_ns_ < kNameLookPeriodNs) return leads_elsewhere_;
    name_looked_ns_ = now;
    leads_elsewhere_ = api::is_replaced(*memory.segment);
    return leads_elsewhere_;
}

bool Client::Impl::leads_elsewhere(const ServiceMemory& memory) {
    const std::lock_guard lock(mutex_);
    // Memory that this client has left already: it moved on because the name did.
    if (seat_.memory.get() != &memory) return memory.state() == layout::kReplaced || seat_.memory;
    return leads_elsewhere_locked(memory);
}

Client::Impl::Seat Client::Impl::seat() {
    Seat former;  // as in leave()
    const std::lock_guard lock(mutex_);
    if (seat_.memory) {
        seat_.memory->segment->require_attached();
        if (leads_elsewhere_locked(*seat_.memory)) former = detach();
    }
    if (!seat_.memory) {
        std::optional<api::Found> found;
        try {
            // Not a moment: the name may be in the middle of a change that takes long.
            found = api::find(full_name, platform::Deadline(0));
        } catch (const TimedOut&) {
            return {};
        }
        if (!found) return {};
        std::shared_ptr<const ServiceMemory> memory = api::attach_service(std::move(*found));
        if (!memory) return {};
        seat_ = {memory, std::make_shared<api::ServiceLease>(memory, layout::kEndClient)};
        order_ = 0;
        leads_elsewhere_ = false;
        share_ = {};
    }
    // A forked child takes part as somebody of its own.
    if (!seat_.lease->is_here()) {
        seat_.lease = std::make_shared<api::ServiceLease>(seat_.memory, layout::kEndClient);
        under_way = kept = 0;
    }
    return seat_;
}

Client::Impl::Share Client::Impl::share(const Seat& seat, bool anew) {
    const auto ends = seat.memory->ends();
    const std::uint32_t joins = ends.joins();
    const std::lock_guard lock(mutex_);
    if (anew || share_.under_way == 0 || joins != share_joins_) {
        share_joins_ = joins;
        const std::size_t clients = std::max<std::size_t>(ends.count(layout::kEndClient), 1);
        const std::size_t slots = seat.memory->control.slot_count();
        share_ = {std::max(kShareMin, slots / clients), slots / clients / 2};
    }
    return share_;
}

std::uint64_t Client::Impl::next_order(const Seat& seat) {
    const std::lock_guard lock(mutex_);
    order_ = seat.memory->pool().next_order(order_);
    return order_;
}

Call Client::loan(Timeout timeout) {
    return in_operation("call", *impl_->name, [&] {
        const Impl::Use use(*impl_, "call");
        sync::Patience patience(timeout.count(), impl_->spin, [&] {
            api::check_interrupt();
            impl_->require_open("call");
        });
        for (;;) {
            // A watch before another look, so that a name that appears in between is seen.
            auto seat = impl_->seat();
            if (!seat.memory) {
                platform::FolderWatch watch;
                api::watch_names(watch);
                seat = impl_->seat();
                if (!seat.memory) {
                    if (patience.over()) {
                        api::require_proc();  // else it may be there and not to be seen
                        throw Error(
                            Errc::no_worker, "call", *impl_->name,
                            "there is no such service: no worker has begun it yet; start one "
                            "(ndshare.Worker, `ndshare serve`), and see `ndshare ls` for "
                            "how it is spelt");
                    }
                    watch.wait(patience.next_slice_ns());
                    patience.ask_whether_to_go_on();
                    continue;
                }
            }
            const ServiceMemory& m = *seat.memory;
            std::size_t share = impl_->share(seat).under_way;
            // Clients that died have told nobody: before anything is refused for their sake, and
            // between slices, those who live are counted again.
            const auto count_again = [&] { share = impl_->share(seat, true).under_way; };
            if (impl_->under_way.load() >= share) count_again();
            sync::SpinBudget none(0);
            // Its own patience: between slices it asks also whether the service is still there.
            sync::Patience slots(patience.left_ns(), none, [&] {
                api::check_interrupt();
                impl_->require_open("call");
                m.pool().settle_all();
                count_again();
                if (impl_->leads_elsewhere(m)) throw Moved();
            });
            const auto may = [&] { return impl_->under_way.load() < share; };
            std::optional<sync::Held> held;
            try {
                held = sync::wait_for_slot(m.pool(), m.ends(), m.control.words().room,
                                           m.segment->ground(), m.segment->owner(), may,
                                           api::SlotHolder::make_room_everywhere, slots);
            } catch (const Moved&) {
                continue;
            }
            if (held) {
                impl_->under_way.fetch_add(1);
                try {
                    return Call(std::make_shared<Call::Impl>(impl_, std::move(seat), *held));
                } catch (...) {
                    impl_->under_way.fetch_sub(1);
                    m.pool().give_back(*held);
                    throw;
                }
            }
            if (m.ends().count(layout::kEndWorker) == 0) {
                throw Error(Errc::no_worker, "call", *impl_->name,
                            "no worker is attached, and every slot is in use");
            }
            throw Error(Errc::timeout, "call", *impl_->name,
                        impl_->under_way.load() >= share
                            ? "this client has " + std::to_string(share) +
                                  " calls under way already, its share of the slots; wait "
                                  "longer, or give the service more slots"
                            : std::string("every slot is in use; give the service more slots, or "
                                          "more workers"));
        }
    });
}

Call Client::submit_bytes(std::span<const std::byte> input, const Dtype& dtype, Timeout timeout) {
    const platform::Deadline deadline(timeout.count());
    Call call = loan(timeout);
    return in_operation("call", *impl_->name, [&]() -> Call {
        const FieldView view = call.input_at(0);
        if (call.input_count() != 1) {
            throw Invalid("it has several inputs; fill them by loan()");
        }
        if (dtype != view.spec->dtype || input.size() != view.nbytes) {
            throw Error(Errc::spec_mismatch, "call", *impl_->name,
                        "got " + std::to_string(input.size()) + " bytes of dtype " + dtype.str() +
                            ", the input has " + to_string(*view.spec));
        }
        std::memcpy(const_cast<std::byte*>(view.data), input.data(), input.size());
        call.submit(deadline.is_forever() ? forever : Timeout(deadline.left_ns()));
        return std::move(call);
    });
}

// ---- looking ------------------------------------------------------------------------------------

std::optional<Fields> Client::inputs() {
    return in_operation("spec", *impl_->name, [&]() -> std::optional<Fields> {
        const Impl::Use use(*impl_, "spec");
        const auto seat = impl_->seat();
        if (!seat.memory) return std::nullopt;
        return seat.memory->inputs;
    });
}
std::optional<Fields> Client::outputs() {
    return in_operation("spec", *impl_->name, [&]() -> std::optional<Fields> {
        const Impl::Use use(*impl_, "spec");
        const auto seat = impl_->seat();
        if (!seat.memory) return std::nullopt;
        return seat.memory->results;
    });
}
int Client::worker_count() const noexcept {
    try {
        const Impl::Use use(*impl_, "worker_count");
        const auto seat = impl_->seat();
        return seat.memory ? static_cast<int>(seat.memory->ends().count(layout::kEndWorker)) : 0;
    } catch (const std::exception&) {
        return 0;
    }
}
std::string Client::attrs_json() {
    return in_operation("attrs", *impl_->name, [&] {
        const Impl::Use use(*impl_, "attrs");
        const auto seat = impl_->seat();
        return seat.memory ? api::attrs_json(*seat.memory->segment) : std::string("{}");
    });
}
std::string_view Client::name() const noexcept { return *impl_->name; }
std::string_view Client::full_name() const noexcept { return impl_->full_name; }

}  // namespace ndshare
