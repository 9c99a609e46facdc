#include "api/frame.h"

#include <map>
#include <mutex>

#include "api/book.h"
#include "api/fork_mutex.h"
#include "api/operation.h"
#include "api/views.h"
#include "base/check.h"
#include "platform/clock.h"
#include "sync/racy_copy.h"

namespace ndshare {
namespace {
using api::in_operation;
}  // namespace

// ---- making -------------------------------------------------------------------------------------

std::shared_ptr<const Frame::Impl> Frame::Impl::make(const std::shared_ptr<api::EndLease>& lease,
                                                     const api::Ring::Place& place, bool copy) {
    const api::StreamMemory& m = lease->memory();
    const auto& line = m.control.slot(place.slot);
    auto made = std::make_shared<Impl>(lease);
    Impl& frame = *made;
    frame.plan = &m.plan.fields;
    frame.begin = m.pool;
    frame.slot = place.slot;
    frame.seq = place.seq;
    const std::byte* bytes = m.slot(place.slot);
    __builtin_prefetch(bytes);  // what the caller will look at
    // Relaxed: written before the slot showed its number, which the pin saw.
    frame.time_ns = static_cast<std::int64_t>(sync::Atomics::load_relaxed(line.time_ns));
    frame.steady_ns = static_cast<std::int64_t>(sync::Atomics::load_relaxed(line.steady_ns));
    const std::uint32_t attrs_bytes = sync::Atomics::load_relaxed(line.attrs_bytes);
    if (attrs_bytes > layout::kFrameAttrsBytes) {
        throw CorruptBytes("a frame's attributes have an impossible length");
    }
    if (attrs_bytes > 0) {
        frame.attrs.assign(reinterpret_cast<const char*>(bytes + m.plan.attrs_offset_bytes),
                           attrs_bytes);
    }
    api::read_extents(m.plan.fields, bytes, 0, frame.extents);
    if (copy) {
        frame.copy_fields(m.plan.fields, m.plan.slot_bytes);
        lease->unpin(place.slot);
    }
    frame.pinned = !copy;
    return made;
}

void Frame::Impl::copy_fields(const std::vector<layout::Field>& own_plan, std::uint64_t bytes) {
    copied = api::make_aligned(bytes);
    for (std::size_t k = 0; k < plan->size(); ++k) {
        const FieldView from = field(k);
        std::memcpy(copied.get() + own_plan[k].offset_bytes, from.data, from.nbytes);
    }
    plan = &own_plan;
    begin = copied.get();
    slot = 0;
}

FieldView Frame::Impl::field(std::size_t index) const {
    return api::view_of(origin->fields()[index].second, (*plan)[index], begin, slot,
                        api::extents_of(*plan, index, extents));
}

// ---- the public face ----------------------------------------------------------------------------

std::string_view Frame::name() const noexcept { return impl_->origin->name(); }
std::uint64_t Frame::seq() const noexcept { return impl_->seq; }
std::uint64_t Frame::generation() const noexcept { return impl_->origin->generation(); }
std::int64_t Frame::time_ns() const noexcept { return impl_->time_ns; }
std::chrono::nanoseconds Frame::age() const noexcept {
    // Unsigned: the stamp is another process's and may be anything.
    return std::chrono::nanoseconds(
        static_cast<std::int64_t>(static_cast<std::uint64_t>(platform::monotonic_ns()) -
                                  static_cast<std::uint64_t>(impl_->steady_ns)));
}
const std::string& Frame::attrs_json() const {
    static const std::string none = "{}";
    return impl_->attrs.empty() ? none : impl_->attrs;
}
FrameRef Frame::ref() const { return {impl_->origin->name(), generation(), seq()}; }
std::size_t Frame::field_count() const noexcept { return impl_->origin->fields().size(); }
FieldView Frame::field(std::size_t index) const { return impl_->field(index); }
std::string_view Frame::field_name(std::size_t index) const {
    return impl_->origin->fields().at(index).first;
}
bool Frame::is_object() const noexcept { return impl_->origin->is_object(); }

std::size_t Frame::field_index(std::string_view field) const {
    return in_operation("frame", name(),
                        [&] { return api::index_of(impl_->origin->fields(), field); });
}

bool Frame::holds_the_stream() const noexcept { return impl_->origin.use_count() == 1; }

std::span<const std::byte> Frame::bytes(std::string_view field) const {
    const FieldView view = impl_->field(field_index(field));
    return {view.data, view.nbytes};
}

std::shared_ptr<const std::byte> Frame::memory(std::size_t index) const {
    return {impl_, impl_->field(index).data};
}

FieldView Frame::checked(std::string_view field, const Dtype& dtype, std::size_t rank) const {
    const FieldView view = impl_->field(field_index(field));
    api::require_view("view", impl_->origin->name(), *view.spec, dtype, rank);
    return view;
}

// ---- refs ---------------------------------------------------------------------------------------

namespace {

// A process's own end for frames by number: one for each memory, as long as a frame of it lives.
std::shared_ptr<api::EndLease> lease_for_refs(const std::shared_ptr<api::StreamMemory>& memory,
                                              const std::string& name) {
    static auto& mutex = *new api::ForkMutex;
    using Key = std::pair<api::MemoryId, std::string>;  // the user's name: frames tell it
    static auto& leases = *new std::map<Key, std::weak_ptr<api::EndLease>>;
    const std::lock_guard lock(mutex);
    std::erase_if(leases, [](const auto& entry) { return entry.second.expired(); });
    auto& known = leases[{memory->segment->id(), name}];
    if (auto lease = known.lock(); lease && lease->is_here()) return lease;
    auto made = std::make_shared<api::EndLease>(memory, layout::kEndRefs,
                                                std::make_shared<const std::string>(name));
    known = made;
    return made;
}

}  // namespace

std::optional<Frame> FrameRef::get() const {
    try {
        return get_or_throw();
    } catch (const Error& e) {
        if (e.code() == Errc::overwritten || e.code() == Errc::not_found) return std::nullopt;
        throw;
    }
}

Frame FrameRef::get_or_throw() const {
    return in_operation("ref.get", name, [&] {
        auto found = api::find(api::full_name_of(name));
        if (!found) {
            throw Error(Errc::not_found, "ref.get", name,
                        "the stream is gone: nobody holds it any more");
        }
        auto memory = api::attach_stream(std::move(*found), false);
        if (!memory || memory->generation() != generation) {
            throw Error(Errc::overwritten, "ref.get", name,
                        "the stream was made anew: the frame was in generation " +
                            std::to_string(generation) + ", the name has " +
                            (memory ? std::to_string(memory->generation()) : "another") + " now");
        }
        auto lease = lease_for_refs(memory, name);
        if (sync::full_seq(seq & sync::kSeqMask, memory->ring().anchor()) != seq) {
            throw Error(Errc::not_found, "ref.get", name,
                        "this stream has no frame " + std::to_string(seq));
        }
        api::Ring::Place place;
        switch (lease->take_exactly(seq, place)) {
            case api::Ring::Exact::frame:
                break;
            case api::Ring::Exact::not_yet:
                throw Error(Errc::not_found, "ref.get", name,
                            "frame " + std::to_string(seq) + " was not published yet");
            case api::Ring::Exact::gone:
                throw Error(Errc::overwritten, "ref.get", name,
                            "frame " + std::to_string(seq) +
                                " was overwritten; hold the frame, get it sooner, or give the "
                                "stream more slots");
        }
        try {
            return Frame(Frame::Impl::make(lease, place, false));
        } catch (...) {
            lease->unpin(place.slot);
            throw;
        }
    });
}

}  // namespace ndshare
