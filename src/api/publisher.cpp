// Publisher: from a wish to a stream, and publishing copies.
#include "api/publisher.h"

#include "api/attrs.h"
#include "api/bell.h"
#include "api/book.h"
#include "api/build.h"
#include "api/interrupt.h"
#include "api/look_at.h"
#include "api/operation.h"
#include "base/check.h"
#include "base/fault.h"
#include "platform/stream_copy.h"
#include "sync/claim_wait.h"

namespace ndshare {
namespace {

using api::in_operation;
using api::StreamMemory;

// put_many(): frames of one moment have one stamp.
constexpr std::size_t kFramesPerClock = 32;

Error publishing_already(const std::string& name, std::uint32_t pid) {
    return Error(Errc::exists, "publish", name,
                 "process " + std::to_string(pid) +
                     " publishes here already; end that one first, or let several publish with "
                     "shared=True");
}

[[noreturn]] void throw_mismatch(const std::string& name, const Fields& wanted,
                                 const Fields& found) {
    if (wanted.size() == 1 && found.size() == 1) {
        throw SpecMismatch("publish", name, wanted.front().second, found.front().second);
    }
    throw Error(
        Errc::spec_mismatch, "publish", name,
        "expected " + api::fields_to_string(wanted) + "; found " + api::fields_to_string(found));
}

// The stream's former memory: what it says to those who wait in it.
void announce_replaced(const StreamMemory& memory) {
    auto& words = memory.control.words();
    // SYNC(need-ring): before the look whether somebody polls.
    sync::Atomics::store_seq_cst(words.state, static_cast<std::uint32_t>(layout::kReplaced));
    NDSHARE_FAULT_POINT_QUIET("publisher.after_state");
    sync::Ground::wake_all(words.latest);
    sync::Ground::wake_all(words.room);
    api::ring_armed(memory.control.common());
}

struct Joined {
    std::shared_ptr<const StreamMemory> memory;
    std::shared_ptr<api::EndLease> lease;
    bool was_there = false;
};

Joined join(const std::string& name, const std::string& full_name,
            const PublisherOptions& options) {
    std::optional<layout::SlotPlan> wanted;
    if (api::has_fields(options)) wanted = api::to_slot_plan(options);
    if (wanted) {  // refused before anything is touched
        (void)api::plan_stream(full_name, *wanted, static_cast<std::size_t>(options.slots), 0,
                               options.sharing);
    }
    api::require_attrs(options.attrs_json);
    if (!options.sharing.persistent) api::require_sharable();

    // Whoever changes the name, or who publishes under it, holds its lock.
    api::NameChange change(full_name);
    std::shared_ptr<StreamMemory> former;
    if (auto found = change.find()) {
        if (!found->description.is_stream()) {
            throw Error(Errc::exists, "publish", name,
                        std::string("the name is taken by ") +
                            (found->description.is_service() ? "a service" : "an array") +
                            "; choose another name, or unlink it");
        }
        former = api::attach_stream(std::move(*found), true);
    }
    if (former) {
        std::uint32_t pid = 0;
        const bool alive = former->ends().count(layout::kEndPublisher, &pid) > 0;
        if (alive && !options.shared) throw publishing_already(name, pid);
        const bool same_fields =
            !wanted || layout::fields_text(wanted->fields) == former->segment->description().dtype;
        if (alive && !same_fields) {
            throw_mismatch(name, api::to_fields(wanted->fields), former->fields);
        }
        // Sealed: somebody who was about to give the name other memory died on the way.
        const bool ended = (former->ring().latest() & sync::kMarks) != 0;
        const bool same_memory =
            !wanted || options.shared ||
            (static_cast<std::size_t>(options.slots) == former->control.slot_count() &&
             options.sharing.persistent == former->segment->persistent());
        if (same_fields && same_memory && !ended) {
            auto lease = std::make_shared<api::EndLease>(former, layout::kEndPublisher);
            return {former, std::move(lease), true};
        }
        if (!wanted) wanted = former->plan;  // ended: the same once more
    }
    if (!wanted) {
        throw Error(Errc::not_found, "publish", name,
                    "there is no stream of this name whose fields it could take; give shape and "
                    "dtype, maxshape, or fields");
    }
    api::Build build(api::plan_stream(full_name, *wanted, static_cast<std::size_t>(options.slots),
                                      0, options.sharing),
                     options.sharing, std::nullopt, options.attrs_json);
    // Numbers go on: from here none is given in the former memory, not even by a publisher that was
    // forked or that looked before. Where nobody remembers them, the clock is ahead of all of them.
    if (former) former->ring().seal();
    NDSHARE_FAULT_POINT("publisher.after_seal");
    build.begin_at(former ? former->ring().last_seq() : api::first_generation());
    const std::uint64_t generation =
        std::max(api::first_generation(), former ? former->generation() + 1 : std::uint64_t{0});
    auto segment = build.finish(generation);
    auto memory = std::make_shared<StreamMemory>(segment, true);
    auto lease = std::make_shared<api::EndLease>(memory, layout::kEndPublisher);
    if (former) api::mark_replacing(*former->segment);
    change.publish(segment->fd(), options.sharing.persistent);
    if (!options.sharing.persistent) segment->set_named();
    if (former) announce_replaced(*former);
    return {std::move(memory), std::move(lease), false};
}

}  // namespace

// ---- making and closing -------------------------------------------------------------------------

Publisher::Impl::Impl(std::string user_name, std::string whole_name,
                      const PublisherOptions& options)
    : name(std::move(user_name)),
      full_name(std::move(whole_name)),
      block(options.overflow == Overflow::block),
      spin(options.spin.count()) {}

Publisher::Publisher(std::string_view name, const PublisherOptions& options) {
    in_operation("publish", name, [&] {
        impl_ = std::make_shared<Impl>(
            std::string(name),
            options.full_name.empty() ? api::full_name_of(name) : options.full_name, options);
        auto joined = join(impl_->name, impl_->full_name, options);
        impl_->memory = std::move(joined.memory);
        impl_->set_lease(std::move(joined.lease));
        // Not under the name's lock: somebody may be stopped while he changes them.
        if (joined.was_there && !options.attrs_json.empty()) {
            update_attrs([&](std::string_view) { return options.attrs_json; });
        }
    });
}
Publisher::Publisher(std::string_view name) : Publisher(name, PublisherOptions{}) {}
Publisher::Publisher(Publisher&&) noexcept = default;
Publisher& Publisher::operator=(Publisher&& other) noexcept {
    if (this != &other) {
        close();
        impl_ = std::move(other.impl_);
    }
    return *this;
}
Publisher::~Publisher() { close(); }
void Publisher::close() noexcept {
    if (impl_) impl_->close();
}

Publisher::Impl::Use::Use(Impl& impl, const char* operation) : impl_(impl) {
    const bool inside = impl.gate.enter();
    if (inside && !impl.gate.closed()) {
        try {
            impl.memory->segment->require_attached();
            return;
        } catch (const Invalid& e) {
            impl.leave();
            throw Error(Errc::closed, operation, impl.name, e.what());
        }
    }
    if (inside) impl.leave();
    throw Error(Errc::closed, operation, impl.name, "this publisher is closed; make another one");
}

void Publisher::Impl::leave() noexcept {
    if (!gate.leave()) return;
    lease_.reset();
    memory.reset();
}

void Publisher::Impl::close() noexcept {
    if (!gate.close()) return;
    if (gate.has_visitors()) {
        sync::Ground::wake_all(memory->control.words().room);
        sync::Ground::wake_all(memory->control.words().joins);
    }
    leave();
}

void Publisher::Impl::set_lease(std::shared_ptr<api::EndLease> lease) {
    lease_ = std::move(lease);
    leased_owner_.store(lease_->owner(), std::memory_order_relaxed);
}

void Publisher::Impl::renew_lease() {
    const std::lock_guard lock(mutex_);
    // A forked child publishes beside its parent, as somebody who was given the handle.
    if (!lease_->is_here()) {
        set_lease(std::make_shared<api::EndLease>(memory, layout::kEndPublisher));
    }
}

void Publisher::Impl::require_current(const Use& use, const char* operation) const {
    if (use.memory().state() == layout::kLive) return;
    if (!api::is_replaced(*use.memory().segment)) return;  // unlinked: those who have it go on
    throw_replaced(operation);
}

void Publisher::Impl::go_on(const Use& use, const char* operation) {
    api::check_interrupt();
    if (gate.closed()) {
        throw Error(Errc::closed, operation, name, "the publisher was closed while waiting");
    }
    require_current(use, operation);
    require_open_stream(use, operation);
}

void Publisher::Impl::require_open_stream(const Use& use, const char* operation) const {
    const std::uint64_t latest = use.memory().ring().latest();
    if (sync::is_ended(latest)) {
        throw Error(Errc::end_of_stream, operation, name, "the stream has been ended");
    }
    if (sync::is_sealed(latest)) throw_replaced(operation);
}

void Publisher::Impl::throw_replaced(const char* operation) const {
    throw Error(Errc::replaced, operation, name,
                "the name has new memory: somebody replaced it, or published other fields there; "
                "make another publisher");
}

// ---- publishing ---------------------------------------------------------------------------------

void Publisher::Impl::note_blocker(const StreamMemory& m, std::size_t end) {
    if (end >= layout::kEndCount) return;
    const std::uint64_t owner = sync::Atomics::load_acquire(m.control.end(end).owner);
    if (!sync::names_a_row(owner)) return;
    // Relaxed, both: for messages.
    blocker_pid.store(sync::Atomics::load_relaxed(m.control.common().row(sync::row_of(owner)).pid),
                      std::memory_order_relaxed);
}

std::optional<std::size_t> Publisher::Impl::claim(const Use& use, Timeout timeout) {
    const StreamMemory& m = use.memory();
    api::Ring ring = m.ring();
    const std::uint64_t me = m.segment->owner();
    if (!block) {
        const auto claim = ring.claim(me, false, true, claims_);
        if (claim) return claim.slot;
        note_blocker(m, claim.blocker);
        return std::nullopt;
    }
    auto claim = ring.claim(me, true, false, claims_);
    if (claim) return claim.slot;
    sync::Patience patience(timeout.count(), spin, [&] { go_on(use, "publish"); });
    claim = sync::claim_waiting(ring, m.ends(), m.control.words().room, m.segment->ground(), me,
                                claims_, patience);
    if (claim) return claim.slot;
    note_blocker(m, claim.blocker);
    return std::nullopt;
}

std::uint64_t Publisher::Impl::commit(const Use& use, std::size_t slot, const Stamp& stamp) {
    const StreamMemory& m = use.memory();
    auto& line = m.control.slot(slot);
    const platform::Instant now = stamp.now ? *stamp.now : platform::now();
    // Relaxed, all three: the commit publishes them.
    sync::Atomics::store_relaxed(
        line.time_ns, static_cast<std::uint64_t>(stamp.time_ns.value_or(now.realtime_ns)));
    sync::Atomics::store_relaxed(line.steady_ns, static_cast<std::uint64_t>(now.monotonic_ns));
    sync::Atomics::store_relaxed(line.attrs_bytes, static_cast<std::uint32_t>(stamp.attrs.size()));
    if (!stamp.attrs.empty()) {
        std::memcpy(m.slot(slot) + m.plan.attrs_offset_bytes, stamp.attrs.data(),
                    stamp.attrs.size());
    }
    api::Ring ring = m.ring();
    const auto seq = ring.publish(m.segment->owner(), slot);
    if (!seq) {
        ring.give_back(slot);
        m.ends().tell_room();
        require_open_stream(use, "publish");
        throw CorruptBytes("its newest frame's word is damaged");
    }
    m.ends().tell_room();  // another publisher may wait for the slot that is the newest no more
    api::ring_armed(m.control.common());
    return *seq;
}

void Publisher::Impl::count_dropped() {
    const std::uint64_t count = dropped.fetch_add(1, std::memory_order_relaxed) + 1;
    const std::lock_guard lock(mutex_);
    if (lease_ && lease_->is_here()) lease_->set_count(count);
}

void Publisher::require(const Dtype& dtype, std::size_t rank) const {
    in_operation("put", impl_->name, [&] {
        const Impl::Use use(*impl_, "put");
        const Spec& spec = use.memory().fields.front().second;
        if (dtype == spec.dtype && (rank == kAnyRank || rank == spec.shape.size())) return;
        throw Error(Errc::spec_mismatch, "put", impl_->name,
                    "got dtype " + dtype.str() + ", expected " + to_string(spec));
    });
}

std::optional<std::uint64_t> Publisher::put_bytes(std::span<const std::byte> bytes,
                                                  const PutOptions& options) {
    return in_operation("put", impl_->name, [&]() -> std::optional<std::uint64_t> {
        const Impl::Use use(*impl_, "put");
        const StreamMemory& m = use.memory();
        const auto& field = m.plan.fields.front();
        if (m.plan.fields.size() != 1 || field.variable) {
            throw Invalid("frames of several fields, or of their own shape, are filled by loan()");
        }
        if (bytes.size() != field.max_bytes) {
            throw Error(Errc::spec_mismatch, "put", impl_->name,
                        "got " + std::to_string(bytes.size()) + " bytes, expected " +
                            to_string(m.fields.front().second));
        }
        api::require_frame_attrs(options.attrs_json);
        impl_->require_current(use, "put");
        impl_->ensure_lease();
        const auto slot = impl_->claim(use, options.timeout);
        if (!slot && impl_->block) throw Error(Errc::timeout, "put", impl_->name, blocked_by());
        if (!slot) {
            impl_->count_dropped();
            return std::nullopt;
        }
        platform::stream_copy(m.slot(*slot), bytes.data(), bytes.size(), m.segment->data_bytes());
        return impl_->commit(use, *slot, {options.time_ns, options.attrs_json});
    });
}

std::size_t Publisher::put_many(std::span<const std::byte> values, std::size_t count,
                                Timeout timeout) {
    return in_operation("put_many", impl_->name, [&] {
        const Impl::Use use(*impl_, "put_many");
        const StreamMemory& m = use.memory();
        const auto& field = m.plan.fields.front();
        if (m.plan.fields.size() != 1 || field.variable) {
            throw Invalid("put_many() is for streams of one field and one shape");
        }
        if (values.size() != count * field.max_bytes) {
            throw Invalid("got " + std::to_string(values.size()) + " bytes, " +
                          std::to_string(count) + " frames have " +
                          std::to_string(count * field.max_bytes));
        }
        impl_->require_current(use, "put_many");
        impl_->ensure_lease();
        const platform::Deadline deadline(timeout.count());
        std::size_t done = 0;
        platform::Instant now{};
        for (std::size_t k = 0; k < count; ++k) {
            const Timeout left(deadline.is_forever() ? forever.count() : deadline.left_ns());
            const auto slot = impl_->claim(use, left);
            if (!slot && impl_->block) break;
            if (!slot) {
                impl_->count_dropped();
                continue;
            }
            std::memcpy(m.slot(*slot), values.data() + k * field.max_bytes, field.max_bytes);
            if (k % kFramesPerClock == 0) now = platform::now();
            (void)impl_->commit(use, *slot, {.now = now});
            ++done;
        }
        return done;
    });
}

void Publisher::end() {
    in_operation("end", impl_->name, [&] {
        const Impl::Use use(*impl_, "end");
        use.memory().ring().end();
        sync::Ground::wake_all(use.memory().control.words().room);
        api::ring_armed(use.memory().control.common());
    });
}

// ---- looking ------------------------------------------------------------------------------------

bool Publisher::wait_subscribers(int count, Timeout timeout) {
    return in_operation("wait_subscribers", impl_->name, [&] {
        const Impl::Use use(*impl_, "wait_subscribers");
        const StreamMemory& m = use.memory();
        sync::SpinBudget none(0);
        sync::Patience patience(timeout.count(), none, [&] {
            api::check_interrupt();
            if (impl_->gate.closed()) {
                throw Error(Errc::closed, "wait_subscribers", impl_->name,
                            "the publisher was closed while waiting");
            }
        });
        for (;;) {
            // SYNC(joins): before the count, so that one who joins after it is noticed.
            const std::uint32_t joins = m.ends().joins();
            if (m.ends().subscriber_count() >= static_cast<std::size_t>(std::max(count, 0))) {
                return true;
            }
            if (patience.over()) return false;
            sync::Ground::sleep(m.control.words().joins, joins, patience.next_slice_ns());
            patience.ask_whether_to_go_on();
        }
    });
}

int Publisher::subscriber_count() const {
    return in_operation("subscriber_count", impl_->name, [&] {
        const Impl::Use use(*impl_, "subscriber_count");
        return static_cast<int>(use.memory().ends().subscriber_count());
    });
}

std::uint64_t Publisher::dropped() const noexcept {
    return impl_->dropped.load(std::memory_order_relaxed);
}
std::string_view Publisher::name() const noexcept { return impl_->name; }
std::string_view Publisher::full_name() const noexcept { return impl_->full_name; }
bool Publisher::closed() const noexcept { return !impl_ || impl_->gate.closed(); }

using api::look_at;

Fields Publisher::fields() const {
    return look_at(impl_, [](const StreamMemory& m) { return m.fields; });
}
bool Publisher::is_object() const {
    return look_at(impl_, [](const StreamMemory& m) { return m.plan.is_object(); });
}
int Publisher::slots() const {
    return look_at(impl_,
                   [](const StreamMemory& m) { return static_cast<int>(m.control.slot_count()); });
}
std::uint64_t Publisher::generation() const {
    return look_at(impl_, [](const StreamMemory& m) { return m.generation(); });
}
std::size_t Publisher::nbytes() const {
    return look_at(impl_, [](const StreamMemory& m) {
        return static_cast<std::size_t>(api::footprint_of(m.segment->description().fields));
    });
}

std::string Publisher::attrs_json() const {
    return in_operation("attrs", impl_->name, [&] {
        const Impl::Use use(*impl_, "attrs");
        return api::attrs_json(*use.memory().segment);
    });
}

void Publisher::update_attrs(const std::function<std::string(std::string_view)>& change) {
    in_operation("attrs", impl_->name, [&] {
        const Impl::Use use(*impl_, "attrs");
        api::update_attrs(*use.memory().segment, change, [&] { impl_->go_on(use, "attrs"); });
    });
}

std::string Publisher::blocked_by() const {
    const std::uint32_t pid = impl_->blocker_pid.load(std::memory_order_relaxed);
    if (pid == 0) return "every slot is in use";
    return "process " + std::to_string(pid) +
           " has not read, or still holds, the frames that stand in the way";
}

std::uint64_t footprint(const PublisherOptions& options) {
    return in_operation("footprint", "", [&] {
        const auto plan = api::plan_stream("footprint", api::to_slot_plan(options),
                                           static_cast<std::size_t>(options.slots), 0, {});
        return api::footprint_of(plan);
    });
}

}  // namespace ndshare
