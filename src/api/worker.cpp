#include "api/worker.h"

#include "api/attrs.h"
#include "api/bell.h"
#include "api/build.h"
#include "api/interrupt.h"
#include "api/look_at.h"
#include "api/operation.h"
#include "api/stream_memory.h"
#include "base/check.h"
#include "base/fault.h"
#include "sync/request_wait.h"

namespace ndshare {
namespace {

using api::in_operation;
using api::ServiceMemory;

constexpr std::int64_t kSettlePeriodNs = 100'000'000;

struct Wanted {
    const Fields* inputs = nullptr;  // nullptr: whatever is there
    const Fields* outputs = nullptr;
    const WorkerOptions& options;
};

struct Joined {
    std::shared_ptr<const ServiceMemory> memory;
    std::shared_ptr<api::ServiceLease> lease;
};

// The service's former memory: what it says to those who wait in it.
void announce_replaced(const ServiceMemory& memory) {
    auto& words = memory.control.words();
    // SYNC(need-ring): before the look whether somebody polls.
    sync::Atomics::store_seq_cst(words.state, static_cast<std::uint32_t>(layout::kReplaced));
    for (std::size_t slot = 0; slot < memory.control.slot_count(); ++slot) {
        sync::Ground::wake_all(memory.control.state(slot));
    }
    sync::Ground::wake_all(words.room);
    sync::Ground::wake_all(memory.control.service().requests);
    api::ring_armed(memory.control.common());
}

[[noreturn]] void throw_other_specs(const std::string& name, const Wanted& wanted,
                                    const ServiceMemory& found, std::uint32_t pid) {
    throw Error(Errc::spec_mismatch, "work", name,
                "process " + std::to_string(pid) + " works here with " +
                    api::service_to_string(found.inputs, found.results) + "; this one has " +
                    api::service_to_string(*wanted.inputs, *wanted.outputs) +
                    "; stop the workers of the other kind, or choose another name");
}

std::shared_ptr<api::ServiceLease> take_place(const std::shared_ptr<const ServiceMemory>& memory) {
    auto lease = std::make_shared<api::ServiceLease>(memory, layout::kEndWorker);
    auto& line = memory->control.worker(lease->index());
    // Relaxed, all of them: figures of this worker from now on, for people.
    for (auto* word :
         {&line.busy_since_ns, &line.progress_ns, &line.slot, &line.taken, &line.answered,
          &line.failed, &line.batches, &line.gathered, &line.busy_ns}) {
        sync::Atomics::store_relaxed(*word, std::uint64_t{0});
    }
    for (auto& bucket : line.durations) sync::Atomics::store_relaxed(bucket, std::uint32_t{0});
    return lease;
}

Joined join(const std::string& name, const std::string& full_name, const Wanted& wanted) {
    const WorkerOptions& options = wanted.options;
    std::optional<layout::ServicePlan> plan;
    if (wanted.inputs != nullptr) {  // refused before anything is touched
        plan = api::to_service_plan(*wanted.inputs, *wanted.outputs, options.slots);
    }
    if (options.retries < 0 || options.retries > static_cast<int>(layout::kRetriesMax)) {
        throw Invalid("retries must be 0 to " + std::to_string(layout::kRetriesMax) + ", got " +
                      std::to_string(options.retries));
    }
    api::require_attrs(options.attrs_json);
    if (!options.sharing.persistent) api::require_sharable();

    // Whoever changes the name, or who works under it, holds its lock.
    api::NameChange change(full_name);
    std::shared_ptr<const ServiceMemory> former;
    if (auto found = change.find()) {
        if (!found->description.is_service()) {
            throw Error(Errc::exists, "work", name,
                        std::string("the name is taken by ") +
                            (found->description.is_stream() ? "a stream" : "an array") +
                            "; choose another name, or unlink it");
        }
        former = api::attach_service(std::move(*found));
    }
    if (former) {
        std::uint32_t pid = 0;
        const auto ends = former->ends();
        const bool works = ends.count(layout::kEndWorker, &pid) > 0;
        const bool same =
            !plan || layout::service_text(*plan) == former->segment->description().dtype;
        if (works && !same) throw_other_specs(name, wanted, *former, pid);
        // Clients that wait in it are answered there; only where nobody is left may it be remade.
        const bool keeps =
            same && (works || !plan || ends.count(layout::kEndClient) > 0 ||
                     (former->control.slot_count() == static_cast<std::size_t>(options.slots) &&
                      former->segment->persistent() == options.sharing.persistent));
        if (keeps) return {former, take_place(former)};
    }
    if (!plan) {
        throw Error(Errc::not_found, "work", name,
                    "there is no service of this name that it could join; give inputs and outputs");
    }
    api::Build build(api::plan_service(full_name, *plan, options), options.sharing, std::nullopt,
                     options.attrs_json);
    const std::uint64_t generation =
        std::max(api::first_generation(), former ? former->generation() + 1 : std::uint64_t{0});
    auto segment = build.finish(generation);
    auto memory = std::make_shared<const ServiceMemory>(segment);
    auto lease = take_place(memory);
    if (former) api::mark_replacing(*former->segment);
    change.publish(segment->fd(), options.sharing.persistent);
    NDSHARE_FAULT_POINT("worker.after_publish");
    if (!options.sharing.persistent) segment->set_named();
    if (former) announce_replaced(*former);
    return {std::move(memory), std::move(lease)};
}

}  // namespace

// ---- making and closing -------------------------------------------------------------------------

namespace {
template <class Impl>
std::shared_ptr<Impl> make_worker(std::string_view name, const Wanted& wanted) {
    const WorkerOptions& options = wanted.options;
    auto impl = std::make_shared<Impl>(
        std::string(name), options.full_name.empty() ? api::full_name_of(name) : options.full_name,
        options);
    auto joined = join(impl->name(), impl->full_name, wanted);
    impl->memory = std::move(joined.memory);
    impl->set_lease(std::move(joined.lease));
    return impl;
}
}  // namespace

Worker::Worker(std::string_view name, const Fields& inputs, const Fields& outputs,
               const WorkerOptions& options) {
    in_operation("work", name, [&] {
        impl_ =
            make_worker<Impl>(name, {.inputs = &inputs, .outputs = &outputs, .options = options});
    });
}
Worker::Worker(std::string_view name, const WorkerOptions& options) {
    in_operation("work", name, [&] { impl_ = make_worker<Impl>(name, {.options = options}); });
}
Worker::Worker(Worker&&) noexcept = default;
Worker& Worker::operator=(Worker&& other) noexcept {
    if (this != &other) {
        close();
        impl_ = std::move(other.impl_);
    }
    return *this;
}
Worker::~Worker() { close(); }
void Worker::close() noexcept {
    if (impl_) impl_->close();
}
bool Worker::closed() const noexcept { return !impl_ || impl_->gate.closed(); }

Worker::Impl::Use::Use(Impl& impl, const char* operation) : impl_(impl) {
    const bool inside = impl.gate.enter();
    if (inside && !impl.gate.closed()) {
        try {
            impl.memory->segment->require_attached();
            return;
        } catch (const Invalid& e) {
            impl.leave();
            throw Error(Errc::closed, operation, impl.name(), e.what());
        }
    }
    if (inside) impl.leave();
    throw Error(Errc::closed, operation, impl.name(), "this worker is closed; make another one");
}

void Worker::Impl::leave() noexcept {
    if (!gate.leave()) return;
    lease_.reset();
    memory.reset();
}

void Worker::Impl::close() noexcept {
    if (!gate.close()) return;
    if (gate.has_visitors()) sync::Ground::wake_all(memory->control.service().requests);
    leave();
}

std::shared_ptr<api::ServiceLease> Worker::Impl::ensure_lease() {
    const std::lock_guard lock(mutex_);
    if (!lease_->is_here()) lease_ = take_place(memory);
    return lease_;
}

void Worker::Impl::require_current(const Use& use, const char* operation) const {
    if (use.memory().state() == layout::kLive) return;
    if (!api::is_replaced(*use.memory().segment)) return;  // unlinked: those who have it go on
    throw Error(Errc::replaced, operation, name(),
                "the name has new memory (workers with other inputs or outputs came); make another "
                "worker");
}

void Worker::Impl::go_on(const Use& use, const char* operation) {
    api::check_interrupt();
    if (gate.closed()) {
        throw Error(Errc::closed, operation, name(), "the worker was closed while waiting");
    }
    require_current(use, operation);
    use.memory().pool().settle_all();  // what the dead left, for whoever it concerns
}

// A worker that never sleeps looks after the dead as well.
void Worker::Impl::settle_now_and_then(const Use& use) {
    const std::int64_t now = platform::monotonic_ns();
    // Relaxed: two threads of one handle may both look.
    if (now - settled_ns.load(std::memory_order_relaxed) < kSettlePeriodNs) return;
    settled_ns.store(now, std::memory_order_relaxed);
    use.memory().pool().settle_all();
}

// ---- working ------------------------------------------------------------------------------------

namespace {
void refuse(const ServiceMemory& m, const sync::WaitingCall& call, std::string_view why) {
    m.put_error(call.slot, why);
    (void)m.pool().finish({call.slot, call.word}, sync::RequestKind::failed);
}

// why: its client is told; nullptr: it goes to another worker.
void let_go(const ServiceMemory& m, const sync::WaitingCall& call, const char* why) noexcept {
    try {
        why != nullptr ? refuse(m, call, why) : m.pool().redeliver({call.slot, call.word});
    } catch (const std::exception&) {
        // Its state was overwritten by somebody: nothing that we could do is right.
    }
}
}  // namespace

std::optional<Batch> Worker::get(const BatchOptions& options, Timeout timeout) {
    return in_operation("get", impl_->name(), [&]() -> std::optional<Batch> {
        if (options.max_batch_size < 1) {
            throw Invalid("max_batch_size must be at least 1, got " +
                          std::to_string(options.max_batch_size));
        }
        if (options.max_delay.count() < 0) throw Invalid("max_delay must not be negative");
        const Impl::Use use(*impl_, "get");
        impl_->require_current(use, "get");
        auto lease = impl_->ensure_lease();
        const ServiceMemory& m = use.memory();
        impl_->settle_now_and_then(use);
        sync::Patience patience(timeout.count(), impl_->spin, [&] { impl_->go_on(use, "get"); });
        sync::WorkWait<sync::Ground> wait(
            m.control, m.segment->ground(), m.segment->owner(),
            {.size_max = static_cast<std::size_t>(options.max_batch_size),
             .delay_max_ns = options.max_delay.count()});
        std::vector<sync::WaitingCall> calls;
        for (;;) {
            if (!wait.wait(patience, calls)) return std::nullopt;
            try {
                auto batch = std::make_unique<Batch::Impl>();
                batch->calls =
                    std::make_shared<api::TakenCalls>(impl_->load, impl_->memory, lease, calls);
                batch->count = calls.size();
                return Batch(std::move(batch));
            } catch (const CorruptBytes& e) {
                // What a client wrote concerns its calls, not this worker and not the others'.
                for (const auto& call : calls) {
                    let_go(m, call, api::has_good_shapes(m, call.slot) ? nullptr : e.what());
                }
            } catch (...) {
                for (const auto& call : calls) let_go(m, call, nullptr);
                throw;
            }
        }
    });
}

void Worker::run(const std::function<void(Batch&)>& fn, const BatchOptions& options) {
    const auto keep = impl_;  // close() may come from fn
    while (!keep->gate.closed()) {
        std::optional<Batch> batch;
        try {
            batch = get(options);
        } catch (const Error& e) {
            if (e.code() == Errc::closed && keep->gate.closed()) return;
            throw;
        }
        if (!batch) continue;
        try {
            fn(*batch);
            if (batch->is_open()) batch->reply();
        } catch (const std::exception& e) {
            if (batch->is_open()) batch->fail(e.what());
        }
    }
}

// ---- looking ------------------------------------------------------------------------------------

using api::look_at;

int Worker::client_count() const {
    return look_at(impl_, [](const ServiceMemory& m) {
        return static_cast<int>(m.ends().count(layout::kEndClient));
    });
}
int Worker::worker_count() const {
    return look_at(impl_, [](const ServiceMemory& m) {
        return static_cast<int>(m.ends().count(layout::kEndWorker));
    });
}
Fields Worker::inputs() const {
    return look_at(impl_, [](const ServiceMemory& m) { return m.inputs; });
}
Fields Worker::outputs() const {
    return look_at(impl_, [](const ServiceMemory& m) { return m.results; });
}
int Worker::slots() const {
    return look_at(impl_,
                   [](const ServiceMemory& m) { return static_cast<int>(m.control.slot_count()); });
}
std::uint64_t Worker::generation() const {
    return look_at(impl_, [](const ServiceMemory& m) { return m.generation(); });
}
std::size_t Worker::nbytes() const {
    return look_at(impl_, [](const ServiceMemory& m) {
        return static_cast<std::size_t>(api::footprint_of(m.segment->description().fields));
    });
}
std::string Worker::attrs_json() const {
    return in_operation("attrs", impl_->name(), [&] {
        const Impl::Use use(*impl_, "attrs");
        return api::attrs_json(*use.memory().segment);
    });
}
void Worker::update_attrs(const std::function<std::string(std::string_view)>& change) {
    in_operation("attrs", impl_->name(), [&] {
        const Impl::Use use(*impl_, "attrs");
        api::update_attrs(*use.memory().segment, change, [&] { impl_->go_on(use, "attrs"); });
    });
}
std::string_view Worker::name() const noexcept { return impl_->name(); }
std::string_view Worker::full_name() const noexcept { return impl_->full_name; }

std::uint64_t footprint(const Fields& inputs, const Fields& outputs, int slots) {
    return in_operation("footprint", "", [&] {
        WorkerOptions options;
        options.slots = slots;
        return api::footprint_of(
            api::plan_service("footprint", api::to_service_plan(inputs, outputs, slots), options));
    });
}

}  // namespace ndshare
