// Call: one request on its way, from its slot to its answer.
#include <algorithm>
#include <cstring>

#include "api/client.h"
#include "api/interrupt.h"
#include "api/operation.h"
#include "api/stream_memory.h"
#include "api/views.h"
#include "base/check.h"
#include "layout/name.h"
#include "platform/clock.h"
#include "platform/process.h"
#include "sync/request_wait.h"

namespace ndshare {
namespace {

using api::in_operation;
using api::ServiceMemory;
using sync::RequestKind;

}  // namespace

// ---- from the slot ------------------------------------------------------------------------------

Call::Impl::Impl(std::shared_ptr<Client::Impl> maker, Client::Impl::Seat its_seat,
                 const sync::Held& its_slot)
    : client(std::move(maker)),
      seat(std::move(its_seat)),
      owner(seat.memory->segment->owner()),
      held(its_slot) {
    for (const auto& field : seat.memory->plan.inputs) {
        shapes.push_back(field.variable ? field.shape : Shape{});
    }
}

Call::Impl::~Impl() {
    if (phase == Phase::loaned) discard();
    if (phase == Phase::pending || phase == Phase::answered) (void)cancel_now();
    if (bell_) {
        const std::lock_guard bells(api::bells_mutex());
        if (bell_process_ == platform::identity().pid) bell_->detach(*seat.memory->segment);
        bell_.reset();
    }
}

void Call::Impl::require_loaned(const char* operation) const {
    if (phase == Phase::loaned && is_ours()) return;
    throw Error(Errc::closed, operation, *client->name,
                phase == Phase::loaned
                    ? "this call was begun before fork(); the parent has it"
                    : "this call was submitted or discarded already; begin another one");
}

void Call::Impl::give_slot_back(Phase then) noexcept {
    phase = then;
    if (!is_ours()) return;
    client->under_way.fetch_sub(1);
    seat.memory->ends().tell_room();  // a thread of this client may have waited for its share
}

void Call::Impl::discard() noexcept {
    if (phase != Phase::loaned) return;
    const bool ours = is_ours();
    outcome = Outcome::cancelled;
    give_slot_back(Phase::gone);
    if (ours && !seat.memory->segment->is_lost()) seat.memory->pool().give_back(held);
}

void Call::Impl::submit(Timeout timeout) {
    require_loaned("call");
    const ServiceMemory& m = *seat.memory;
    std::uint64_t key = 0;
    for (std::size_t f = 0; f < m.plan.inputs.size(); ++f) {
        const layout::Field& field = m.plan.inputs[f];
        if (!field.variable) continue;
        std::memcpy(m.extents(field, held.slot), shapes[f].data(),
                    shapes[f].size() * sizeof(std::int64_t));
        // FNV-1a over the extents (Fowler, Noll, Vo): equal shapes have equal keys, and workers
        // compare the shapes themselves again.
        for (const std::int64_t extent : shapes[f]) {
            key = (key ^ static_cast<std::uint64_t>(extent)) * 0x100000001b3ULL;
        }
    }
    join(weak_from_this());
    const std::lock_guard lock(mutex_);  // make_room() sees it loaned, or submitted
    const std::int64_t now = platform::monotonic_ns();
    const platform::Deadline deadline(timeout.count());
    deadline_ns = deadline.is_forever() ? 0 : std::max<std::int64_t>(now + deadline.left_ns(), 1);
    (void)m.pool().submit(owner, held,
                          {.order = client->next_order(seat),
                           .deadline_ns = static_cast<std::uint64_t>(deadline_ns),
                           .submitted_ns = static_cast<std::uint64_t>(now),
                           .shape_key = key,
                           .end = static_cast<std::uint32_t>(seat.lease->index()),
                           .priority = client->priority});
    phase = Phase::pending;
}

// ---- to the answer ------------------------------------------------------------------------------

bool Call::Impl::deadline_passed() const {
    return deadline_ns != 0 && platform::monotonic_ns() >= deadline_ns;
}

// How a call that nobody answered in time ends.
Outcome Call::Impl::outcome_of_silence() const {
    return seat.memory->ends().count(layout::kEndWorker) == 0 ? Outcome::no_worker
                                                              : Outcome::timed_out;
}

void Call::Impl::decide(Outcome what) {
    outcome = what;
    give_slot_back(Phase::failed);
}

void Call::Impl::abandon(Outcome what) {
    if (!seat.memory->pool().abandon(held)) return;  // the answer came after all
    decide(what);
}

void Call::Impl::look() {
    if (phase != Phase::pending) return;
    const ServiceMemory& m = *seat.memory;
    std::uint64_t word = m.pool().look(held.slot);
    if (sync::request_kind(word) == RequestKind::running) {
        // Also one who only asks whether it is done learns of a dead worker.
        const std::int64_t now = platform::monotonic_ns();
        if (now - settled_ns_ >= sync::kAskPeriodNs) {
            settled_ns_ = now;
            m.pool().settle(held.slot);
            word = m.pool().look(held.slot);
        }
    }
    if (sync::ticket_of(word) != sync::ticket_of(held.word)) {
        throw CorruptBytes("the slot of a call is another's");
    }
    switch (sync::request_kind(word)) {
        case RequestKind::answered:
            phase = Phase::answered;
            return;
        case RequestKind::failed: {
            const std::uint32_t bytes =
                sync::Atomics::load_relaxed(m.control.line(held.slot).error_bytes);
            error = layout::made_utf8({reinterpret_cast<const char*>(m.error(held.slot)),
                                       std::min<std::size_t>(bytes, layout::kErrorBytes)});
            m.pool().collect(held);
            decide(Outcome::remote_error);
            return;
        }
        case RequestKind::died:
            m.pool().collect(held);
            decide(Outcome::worker_died);
            return;
        case RequestKind::expired:
            m.pool().collect(held);
            decide(Outcome::timed_out);
            return;
        case RequestKind::free:
        case RequestKind::filling:
            throw CorruptBytes("a call that is under way has no state");
        default:
            break;
    }
    if (sync::request_kind(word) != RequestKind::running && client->leads_elsewhere(m)) {
        has_moved = true;
        abandon(Outcome::cancelled);
    } else if (client->gate.closed()) {
        abandon(Outcome::cancelled);
    } else if (deadline_passed()) {
        abandon(outcome_of_silence());
    }
    if (phase == Phase::pending && sync::is_over(m.pool().look(held.slot))) look();
}

Outcome Call::Impl::known() const {
    if (was_given || copied_ || phase == Phase::answered) return Outcome::answered;
    if (phase == Phase::pending) return Outcome::timed_out;  // of this wait: the call goes on
    return phase == Phase::failed ? outcome : Outcome::cancelled;
}

Outcome Call::Impl::wait(Timeout timeout) {
    if (!is_ours()) return Outcome::cancelled;
    std::int64_t left_ns = timeout.count();
    {
        const std::lock_guard lock(mutex_);
        look();
        if (phase != Phase::pending) return known();
        if (deadline_ns != 0) {
            left_ns = std::min(left_ns,
                               std::max<std::int64_t>(deadline_ns - platform::monotonic_ns(), 0));
        }
    }
    const ServiceMemory& m = *seat.memory;
    struct Stop : std::exception {};
    sync::Patience patience(left_ns, client->spin, [&] {
        api::check_interrupt();
        if (phase != Phase::pending)
            throw Stop();  // another thread cancelled it, or has the answer
        m.pool().settle(held.slot);
        if (client->gate.closed() || client->leads_elsewhere(m)) throw Stop();
    });
    try {
        (void)sync::wait_for_answer(m.pool(), m.control.state(held.slot), m.segment->ground(), held,
                                    patience);
    } catch (const Stop&) {
    }
    const std::lock_guard lock(mutex_);
    look();
    return known();
}

bool Call::Impl::is_done() {
    if (!is_ours()) return true;  // result() says why
    const std::lock_guard lock(mutex_);
    look();
    return phase != Phase::pending && phase != Phase::loaned;
}

bool Call::Impl::cancel() noexcept {
    if (!is_ours()) return false;
    const std::lock_guard lock(mutex_);
    return cancel_now();
}

bool Call::Impl::cancel_now() noexcept {
    const bool usable = is_ours() && !seat.memory->segment->is_lost();
    if (phase == Phase::answered) {
        if (usable) seat.memory->pool().collect(held);
        outcome = Outcome::cancelled;
        give_slot_back(Phase::gone);
        return false;
    }
    if (copied_) {
        copied_.reset();
        outcome = Outcome::cancelled;
    }
    if (phase != Phase::pending) return false;
    if (!usable) {
        give_slot_back(Phase::gone);
        return false;
    }
    const bool in_time = seat.memory->pool().abandon(held);
    if (!in_time) seat.memory->pool().collect(held);
    decide(Outcome::cancelled);
    sync::Ground::wake_all(seat.memory->control.state(held.slot));  // threads that wait for it
    const std::lock_guard bells(api::bells_mutex());
    if (bell_ && bell_process_ == platform::identity().pid) bell_->ring();
    return in_time;
}

std::string Call::Impl::workers_text() const {
    const std::size_t count = seat.memory->ends().count(layout::kEndWorker);
    return std::to_string(count) + (count == 1 ? " worker is attached" : " workers are attached");
}

void Call::Impl::throw_outcome(Outcome what) const {
    const std::string& name = *client->name;
    switch (what) {
        case Outcome::no_worker:
            throw Error(Errc::no_worker, "call", name,
                        "no worker is attached, and none came in time; start one, or wait longer");
        case Outcome::worker_died:
            throw Error(Errc::worker_died, "call", name,
                        "every worker that had this call died or gave it up; see its log, or raise "
                        "retries=");
        case Outcome::remote_error:
            throw Error(Errc::remote, "call", name, error);
        case Outcome::cancelled:
            if (has_moved) throw_moved();
            throw Error(Errc::closed, "call", name, "the call was cancelled");
        default:
            throw Error(
                Errc::timeout, "call", name,
                deadline_ns != 0 && phase == Phase::failed
                    ? "no answer by its deadline; " + workers_text()
                    : "no answer yet; the call goes on, ask again or cancel it; " + workers_text());
    }
}

// The service has other memory by now, which this call is not in.
void Call::Impl::throw_moved() const {
    const std::string& name = *client->name;
    const std::string mine = api::service_to_string(seat.memory->inputs, seat.memory->results);
    const auto now = client->seat();
    const std::string theirs =
        now.memory ? api::service_to_string(now.memory->inputs, now.memory->results) : mine;
    if (mine != theirs) {
        throw Error(Errc::spec_mismatch, "call", name,
                    "workers with other inputs or outputs came meanwhile: they have " + theirs +
                        "; this call was made for " + mine);
    }
    throw Error(Errc::replaced, "call", name,
                "the name has new memory, which this call is not in; ask again");
}

void Call::Impl::throw_let_go() const {
    throw Error(Errc::closed, "call", *client->name, "its answer was let go already");
}

// ---- waiting for several ------------------------------------------------------------------------

int Call::Impl::fileno() {
    const bool done = is_done();
    const std::lock_guard bells(api::bells_mutex());
    const std::uint32_t process = platform::identity().pid;
    if (!bell_ || bell_process_ != process) {
        auto made = std::make_unique<api::HandleBell>();
        made->make();
        bell_process_ = process;
        bell_ = std::move(made);
    }
    api::Segment& segment = *seat.memory->segment;
    bell_->empty();
    if (!done) {
        if (!bell_->is_attached(segment)) bell_->attach(segment);
        bell_->arm(segment);
    }
    if (done || sync::is_over(seat.memory->pool().look(held.slot))) bell_->ring();
    return bell_->fd();
}

class Call::Impl::Round final : public api::WaitRound {
 public:
    explicit Round(Call::Impl& impl) : impl_(impl) {}
    std::optional<platform::FutexWord> announce() override {
        const ServiceMemory& m = *impl_.seat.memory;
        const auto expected = m.pool().announce_sleep(impl_.held);
        if (!expected) return std::nullopt;
        return platform::FutexWord{sync::WordAccess::futex_word(m.control.state(impl_.held.slot)),
                                   *expected};
    }
    int bell() override { return impl_.fileno(); }
    void look_at_the_name() override { impl_.seat.memory->pool().settle(impl_.held.slot); }

 private:
    Call::Impl& impl_;
};

std::unique_ptr<api::WaitRound> Call::Impl::begin_wait() {
    if (is_done() || phase == Phase::loaned) return nullptr;
    return std::make_unique<Round>(*this);
}

// ---- the public face ----------------------------------------------------------------------------

Call::Call(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Call::Call(Call&&) noexcept = default;
Call& Call::operator=(Call&&) noexcept = default;
Call::~Call() = default;

void Call::submit(Timeout timeout) {
    in_operation("call", *impl_->client->name, [&] { impl_->submit(timeout); });
}
void Call::discard() noexcept { impl_->discard(); }
Outcome Call::wait(Timeout timeout) noexcept {
    try {
        return impl_->wait(timeout);
    } catch (const std::exception&) {
        return Outcome::cancelled;
    }
}
Frame Call::result(Timeout timeout) {
    return in_operation("call", *impl_->client->name, [&] { return impl_->result(timeout); });
}
bool Call::done() const noexcept {
    try {
        return impl_->is_done();
    } catch (const std::exception&) {
        return true;  // result() says what is wrong
    }
}
bool Call::cancel() noexcept { return impl_->cancel(); }
bool Call::cancelled() const noexcept {
    return impl_->phase != Impl::Phase::pending && impl_->outcome == Outcome::cancelled;
}
int Call::fileno() {
    return in_operation("fileno", *impl_->client->name, [&] { return impl_->fileno(); });
}

bool Call::is_loaned() const noexcept { return impl_->phase == Impl::Phase::loaned; }
std::size_t Call::input_count() const noexcept { return impl_->seat.memory->inputs.size(); }
std::string_view Call::input_name(std::size_t index) const {
    return impl_->seat.memory->inputs.at(index).first;
}
FieldView Call::input_at(std::size_t index) const {
    impl_->require_loaned("input");
    const ServiceMemory& m = *impl_->seat.memory;
    return api::view_of(m.inputs.at(index).second, m.plan.inputs[index], m.bytes, impl_->held.slot,
                        impl_->shapes[index]);
}
std::shared_ptr<std::byte> Call::memory(std::size_t index) const {
    return {impl_, const_cast<std::byte*>(input_at(index).data)};
}
std::string_view Call::name() const noexcept { return *impl_->client->name; }

std::span<std::byte> Call::bytes(std::string_view field) const {
    return in_operation("input", *impl_->client->name, [&]() -> std::span<std::byte> {
        const FieldView view = input_at(api::index_of(impl_->seat.memory->inputs, field));
        return {const_cast<std::byte*>(view.data), view.nbytes};
    });
}

void Call::resize(const Shape& shape, std::string_view name_of_field) {
    in_operation("resize", *impl_->client->name, [&] {
        impl_->require_loaned("resize");
        const ServiceMemory& m = *impl_->seat.memory;
        const std::size_t index = api::index_of(m.inputs, name_of_field);
        api::require_resizable(m.plan.inputs[index], m.inputs[index].second, shape);
        impl_->shapes[index] = shape;
    });
}

FieldView Call::checked(std::string_view field, const Dtype& dtype, std::size_t rank) const {
    return in_operation("input", *impl_->client->name, [&] {
        const FieldView view = input_at(api::index_of(impl_->seat.memory->inputs, field));
        api::require_view("input", *impl_->client->name, *view.spec, dtype, rank);
        return view;
    });
}

}  // namespace ndshare
