#include "ndshare/array.hpp"

#include <algorithm>

#include "api/book.h"
#include "api/build.h"
#include "api/handle.h"
#include "api/interrupt.h"
#include "api/operation.h"
#include "base/check.h"
#include "base/fault.h"
#include "layout/dtype.h"
#include "layout/name.h"
#include "platform/clock.h"
#include "platform/folder_watch.h"
#include "platform/process.h"
#include "sync/bells.h"
#include "sync/racy_copy.h"

namespace ndshare {
namespace {

using api::in_operation;
using api::Segment;

constexpr std::size_t kCopyPieceBytes = 256 << 10;
constexpr std::uint32_t kCreatesPerSweep = 64;
constexpr std::int64_t kOpenLockNs = 1'000'000'000;
constexpr std::int64_t kOpenSliceNs = 80'000'000;

std::string full_name_of(std::string_view name) {
    return layout::full_name(platform::environment("NDSHARE_NAMESPACE"), name);
}

std::string make_unique_name() {
    std::uint64_t random[2];
    platform::random_bytes(random, sizeof random);
    char text[48];
    std::snprintf(text, sizeof text, "unnamed-%016llx%08llx",
                  static_cast<unsigned long long>(random[0]),
                  static_cast<unsigned long long>(random[1] & 0xffffffffU));
    return text;
}

Spec spec_of(const layout::Description& description) {
    return {.shape = description.shape,
            .dtype = Dtype(std::string_view(description.dtype)),
            .order = description.fortran() ? Order::fortran : Order::c,
            .maxshape = {},
            .aligned = description.aligned()};
}

void require_spec(const char* operation, std::string_view name, const Spec& wanted,
                  const Spec& found, bool shape, bool dtype, bool order) {
    const bool same = (!shape || wanted.shape == found.shape) &&
                      (!dtype || wanted.dtype == found.dtype) &&
                      (!order || wanted.order == found.order || found.shape.size() < 2);
    if (same) return;
    Spec shown = wanted;
    if (!shape) shown.shape = found.shape;
    if (!dtype) shown.dtype = found.dtype;
    throw SpecMismatch(operation, std::string(name), shown, found);
}

// Different for readers that ask at the same time; equal ones would only share a turn.
std::uint32_t make_nonce() {
    static std::atomic<std::uint32_t> count{0};
    const std::uint32_t number = count.fetch_add(1, std::memory_order_relaxed);
    const std::uint32_t mixed = (number * 2654435761U) ^ (platform::identity().pid * 40503U);
    return (mixed >> 8) % 0x7fff + 1;
}

void copy_in_pieces(std::byte* out, const std::byte* in, std::size_t bytes, auto progress) {
    while (bytes > 0) {
        const std::size_t piece = std::min(bytes, kCopyPieceBytes);
        sync::racy_copy(out, in, piece);
        out += piece;
        in += piece;
        bytes -= piece;
        if (bytes > 0 && !progress()) return;
    }
}

// false: its name has just gone, or went to other memory.
bool is_live(const std::string& name, Segment& segment) {
    const std::uint32_t state = sync::Atomics::load_seq_cst(segment.control().words().state);
    if (state == layout::kLive) return true;
    if (state == layout::kReplaced || state == layout::kUnlinked) return false;
    throw CorruptBytes("\"" + name + "\" is in no state that this library knows");
}

// After a search: the next one need not search again, and the name is passed on when we let go.
void take_name(const std::string& full_name, Segment& segment) {
    if (segment.persistent()) return;
    try {
        api::NameChange change(full_name, platform::Deadline(0));
        if (api::where_leads(full_name, segment.id()) == api::Leads::here) change.take(segment);
    } catch (const std::exception&) {
        // It works without; only the next opener is slower.
    }
}

std::uint64_t first_generation() {
    // Microseconds since 1970: later memory under a name has a larger number even when nobody is
    // left who knows the former one.
    return static_cast<std::uint64_t>(platform::realtime_ns() / 1000);
}

Error existing_error(const std::string& name, const api::Found& current) {
    const std::string path = api::path_of(current);
    const std::string where = current.persistent() || path.size() < 6
                                  ? "it is the file " + path
                                  : "held by process " + path.substr(6, path.find("/fd/") - 6);
    return Error(Errc::exists, "create", name,
                 "the name is taken (" + to_string(spec_of(current.description)) + ", " + where +
                     "); existing=\"adopt\" joins it, existing=\"replace\" takes the name, "
                     "ndshare.open opens it");
}

}  // namespace

SpecMismatch::SpecMismatch(const std::string& operation, const std::string& name,
                           const Spec& expected_spec, const Spec& found_spec)
    : Error(Errc::spec_mismatch, operation, name,
            "expected " + to_string(expected_spec) + ", found " + to_string(found_spec) +
                "; use the found one, or create with existing=\"replace\""),
      expected(expected_spec),
      found(found_spec) {}

// ---- creating and opening -----------------------------------------------------------------------

Array Array::create(std::string_view name, const Spec& spec, const CreateOptions& options) {
    return make(name, spec, std::nullopt, options);
}

Array Array::create(std::string_view name, const Spec& spec, std::span<const std::byte> data,
                    const CreateOptions& options) {
    return make(name, spec, data, options);
}

Array Array::make(std::string_view given, const Spec& spec,
                  const std::optional<std::span<const std::byte>>& data,
                  const CreateOptions& options) {
    static std::atomic<std::uint32_t> count{0};
    if (count.fetch_add(1, std::memory_order_relaxed) % kCreatesPerSweep == 0) {
        api::sweep_some_names();
    }
    const std::string name = given.empty() ? make_unique_name() : std::string(given);
    return in_operation("create", name, [&] {
        const std::string full_name = full_name_of(name);
        auto plan = api::plan_array(full_name, spec, options.sharing);
        if (data && data->size() != plan.data_bytes) {
            throw Invalid("data has " + std::to_string(data->size()) + " bytes, the spec " +
                          std::to_string(plan.data_bytes));
        }
        api::require_attrs(options.attrs_json);
        if (!options.sharing.persistent) api::require_proc();
        if (!options.sharing.persistent && !platform::is_dumpable()) {
            throw Error(Errc::forbidden, "create", name,
                        "no other process could open it: this one is not dumpable (it changed its "
                        "user without exec, or called prctl). Call prctl(PR_SET_DUMPABLE, 1), or "
                        "create with persistent=True");
        }

        // nullopt: the last holder let go between our look and our row; look again.
        const auto adopt = [&](api::Found& current) -> std::optional<Array> {
            require_spec("create", name, spec, spec_of(current.description), true, true, true);
            auto segment =
                Segment::attach(std::move(current.fd), current.id, current.description, true);
            if (!is_live(name, *segment)) return std::nullopt;
            Array array(std::make_shared<Impl>(std::move(segment), name, true, options.spin));
            if (data) array.assign_bytes(*data);
            return array;
        };
        // A look before the work: the usual refusals cost no memory.
        if (options.existing != Existing::replace) {
            if (auto current = api::find(full_name)) {
                if (options.existing == Existing::error) throw existing_error(name, *current);
                if (auto adopted = adopt(*current)) return std::move(*adopted);
            }
        }

        api::Build build(std::move(plan), options.sharing, data, options.attrs_json);
        api::NameChange change(full_name);
        std::optional<api::Found> current;
        try {
            current = change.find();
        } catch (const CorruptBytes&) {
            if (options.existing != Existing::replace) throw;
        }
        if (current && options.existing == Existing::error) throw existing_error(name, *current);
        if (current && options.existing == Existing::adopt) {
            // Nobody lets go of the name while we hold its lock.
            if (auto adopted = adopt(*current)) return std::move(*adopted);
        }
        const std::uint64_t generation =
            std::max(first_generation(),
                     current ? current->description.fields.generation + 1 : std::uint64_t{0});
        auto segment = build.finish(generation);
        Array array(std::make_shared<Impl>(segment, name, true, options.spin));
        if (data) array.impl_->saw(1);
        change.publish(segment->fd(), options.sharing.persistent);
        if (!options.sharing.persistent) segment->set_named();
        if (current) api::set_state(*current, layout::kReplaced);
        return array;
    });
}

Array Array::open(std::string_view given, const OpenOptions& options) {
    const std::string name(given);
    return in_operation("open", name, [&] {
        const std::string full_name =
            options.full_name.empty() ? full_name_of(name) : options.full_name;
        const platform::Deadline deadline(options.timeout.count());
        // Also for timeout 0: a change of the name under way takes microseconds.
        const platform::Deadline patient(std::max(options.timeout.count(), kOpenLockNs));
        std::optional<platform::FolderWatch> watch;
        for (;;) {
            auto found = api::find(full_name, patient);
            if (found) {
                const Spec spec = spec_of(found->description);
                if (options.expect) {
                    require_spec("open", name, *options.expect, spec, options.expect_shape,
                                 options.expect_dtype, false);
                }
                auto segment = Segment::attach(std::move(found->fd), found->id, found->description,
                                               options.writeable);
                segment->require_attached();
                // Not live: the last holder let go between our look and our row.
                if (is_live(name, *segment)) {
                    if (found->searched) take_name(full_name, *segment);
                    return Array(std::make_shared<Impl>(std::move(segment), name, options.writeable,
                                                        options.spin));
                }
            }
            if (deadline.passed()) {
                api::require_proc();  // else it may be there and not to be seen
                throw Error(Errc::not_found, "open", name,
                            "nothing has this name" +
                                std::string(options.timeout.count() > 0 ? " yet" : "") +
                                "; create it first, wait for it with timeout=, or see `ndshare "
                                "ls` for what there is");
            }
            if (!watch) {
                // Made before another look, so that a name that appears in between is seen.
                watch.emplace();
                api::watch_names(*watch);
                continue;
            }
            watch->wait(std::min(deadline.left_ns(), kOpenSliceNs));
            api::check_interrupt();
        }
    });
}

Array::Array(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Array::Array(Array&&) noexcept = default;
Array& Array::operator=(Array&& other) noexcept {
    if (this != &other) {
        close();
        impl_ = std::move(other.impl_);
    }
    return *this;
}
Array::~Array() { close(); }

// ---- what it is ---------------------------------------------------------------------------------

std::string_view Array::name() const noexcept { return impl_->name; }
std::string_view Array::full_name() const noexcept { return impl_->full_name; }
const Spec& Array::spec() const noexcept { return impl_->spec; }
std::size_t Array::nbytes() const noexcept { return impl_->nbytes; }
std::uint64_t Array::generation() const noexcept { return impl_->generation; }
bool Array::writeable() const noexcept { return impl_->writeable; }
bool Array::persistent() const noexcept { return impl_->persistent; }
bool Array::closed() const noexcept { return !impl_ || impl_->closed(); }

std::uint64_t Array::version() const noexcept {
    try {
        const Impl::Use use(*impl_, "version");
        return sync::completed(use.version().load());
    } catch (const Error&) {
        return impl_->seen.load(std::memory_order_relaxed);  // closed: what it last saw
    }
}

bool Array::replaced() const {
    return in_operation("replaced", name(), [&] {
        const Impl::Use use(*impl_, "replaced");
        return impl_->is_replaced(use.segment());
    });
}

std::string Array::path() const {
    return in_operation("path", name(), [&] {
        const Impl::Use use(*impl_, "path");
        if (persistent()) {
            return api::persistent_folder() + "/" + layout::file_name(impl_->full_name) + ".npy";
        }
        return platform::descriptor_path(platform::identity().pid_in_proc,
                                         static_cast<std::uint32_t>(use.segment().fd()));
    });
}

namespace {
template <class Impl>
void require_view(const char* operation, const Impl& impl, const Dtype& dtype, std::size_t rank) {
    if (rank == impl.spec.shape.size() && dtype == impl.spec.dtype) return;
    throw Error(Errc::spec_mismatch, operation, impl.name,
                "asked for " + std::to_string(rank) + " dimensions of dtype " + dtype.str() +
                    ", it has " + to_string(impl.spec));
}
}  // namespace

// ---- live memory --------------------------------------------------------------------------------

std::span<const std::byte> Array::bytes() const {
    const Impl::Use use(*impl_, "bytes");
    return {impl_->bytes, impl_->nbytes};
}

std::span<std::byte> Array::mutable_bytes() const {
    const Impl::Use use(*impl_, "mutable_bytes");
    impl_->require_writeable("mutable_bytes");
    return {impl_->bytes, impl_->nbytes};
}

std::shared_ptr<std::byte> Array::memory() const {
    const Impl::Use use(*impl_, "memory");
    return {use.share(), impl_->bytes};
}

void* Array::data(const Dtype& dtype, std::size_t rank, bool writeable) const {
    const Impl::Use use(*impl_, "view");
    if (writeable) impl_->require_writeable("view");
    require_view("view", *impl_, dtype, rank);
    return impl_->bytes;
}

// ---- reading ------------------------------------------------------------------------------------

namespace {

Error incomplete(const char* operation, const std::string& name) {
    return Error(Errc::incomplete_write, operation, name,
                 "the last write was not finished: its process died or its block raised. Its bytes "
                 "are a mixture; a complete write heals it (a[...] = x, or write(recover=True))");
}

// Shared by both reads: copy(progress), as sync::Version::read takes it.
template <class Impl, class Copy>
bool read_consistently(Impl& impl, Copy copy, Timeout timeout) {
    const typename Impl::Use use(impl, "read");
    if (use.segment().write_local().held_by_this_thread()) {
        throw Invalid(
            "this thread is inside its own write(); use the array that the write gave, "
            "or end it first");
    }
    sync::Patience patience(timeout.count(), impl.spin, [&impl] { impl.go_on("read", false); });
    auto version_word = use.version();
    std::uint64_t version = 0;
    switch (version_word.read(copy, patience, make_nonce(), version)) {
        case sync::ReadOutcome::incomplete:
            throw incomplete("read", impl.name);
        case sync::ReadOutcome::timed_out:
            return false;
        case sync::ReadOutcome::consistent:
            break;
    }
    impl.saw(version);
    impl.refresh_bell();
    return true;
}

}  // namespace

bool Array::read(std::span<std::byte> out, Timeout timeout) const {
    return in_operation("read", impl_->name, [&] {
        if (out.size() != impl_->nbytes) {
            throw Invalid("the destination has " + std::to_string(out.size()) +
                          " bytes, the array " + std::to_string(impl_->nbytes));
        }
        const auto copy = [&](auto progress) {
            copy_in_pieces(out.data(), impl_->bytes, out.size(), progress);
        };
        return read_consistently(*impl_, copy, timeout);
    });
}

bool Array::read(const std::function<void(std::span<const std::byte>)>& copy,
                 Timeout timeout) const {
    return in_operation("read", impl_->name, [&] {
        const auto whole = [&](auto) { copy({impl_->bytes, impl_->nbytes}); };
        return read_consistently(*impl_, whole, timeout);
    });
}

// ---- writing ------------------------------------------------------------------------------------

std::optional<Array::Write> Array::write(Timeout timeout, bool recover) {
    return in_operation("write", impl_->name, [&]() -> std::optional<Write> {
        const Impl::Use use(*impl_, "write");
        Segment& segment = use.segment();
        impl_->require_writeable("write");
        impl_->require_current("write", segment);
        sync::Patience patience(timeout.count(), impl_->spin,
                                [this] { impl_->go_on("write", true); });
        auto state = std::make_unique<Write::State>();
        if (!segment.write_local().acquire(
                patience, "this thread is inside its own write() already; end that one first")) {
            return std::nullopt;
        }
        auto version = use.version();
        const std::uint64_t owner = segment.owner();
        try {
            if (!version.lock(owner, patience)) {
                segment.write_local().release();
                return std::nullopt;
            }
        } catch (...) {
            segment.write_local().release();
            throw;
        }
        try {
            state->healing = sync::is_odd(version.load());
            if (state->healing && !recover) throw incomplete("write", impl_->name);
            version.begin();
        } catch (...) {
            version.unlock(owner);
            segment.write_local().release();
            throw;
        }
        state->impl = impl_;
        state->segment = use.share();
        state->owner = owner;
        return Write(std::move(state));
    });
}

Array::Write::Write(std::unique_ptr<State> state) : state_(std::move(state)) {}
Array::Write::Write(Write&&) noexcept = default;

Array::Write::~Write() {
    if (!state_ || !state_->open || state_->owner != state_->segment->owner()) return;
    ArrayVersion version(state_->segment->control().words(), state_->segment->ground());
    version.leave(state_->owner);
    state_->segment->write_local().release();
    sync::ring_armed(state_->segment->control());
}

const Spec& Array::Write::spec() const noexcept { return state_->impl->spec; }

void* Array::Write::data(const Dtype& dtype, std::size_t rank) const {
    require_view("write", *state_->impl, dtype, rank);
    return state_->impl->bytes;
}

std::span<std::byte> Array::Write::bytes() const {
    return {state_->impl->bytes, state_->impl->nbytes};
}

void Array::Write::end(bool commit) {
    Impl& impl = *state_->impl;
    Segment& segment = *state_->segment;
    in_operation("write", impl.name, [&] {
        if (!state_->open) throw Invalid("this write has ended already");
        if (state_->owner != segment.owner()) {
            throw Invalid("this write was begun before fork(); the parent ends it");
        }
        state_->open = false;
        ArrayVersion version(segment.control().words(), segment.ground());
        if (commit || !state_->healing) {
            // A cancelled write counts too: the word must not take a value twice, or a reader could
            // take two writers for one that died.
            impl.saw(version.finish(state_->owner));
        } else {
            version.leave(state_->owner);
        }
        segment.write_local().release();
        sync::ring_armed(segment.control());
        impl.refresh_bell();
    });
}

void Array::Write::commit() { end(true); }
void Array::Write::cancel() { end(false); }

void Array::assign_bytes(std::span<const std::byte> all, Timeout timeout) {
    in_operation("write", impl_->name, [&] {
        if (all.size() != impl_->nbytes) {
            throw Invalid("a complete write takes " + std::to_string(impl_->nbytes) +
                          " bytes, got " + std::to_string(all.size()));
        }
        auto writing = write(timeout, true);
        if (!writing) {
            throw Error(Errc::timeout, "write", impl_->name,
                        "another writer did not let go in time");
        }
        sync::racy_copy(writing->bytes().data(), all.data(), all.size());
        writing->commit();
    });
}

// ---- waiting ------------------------------------------------------------------------------------

std::uint64_t Array::seen() const noexcept { return impl_->seen.load(std::memory_order_relaxed); }

void Array::saw(std::uint64_t version) {
    const Impl::Use use(*impl_, "wait");
    impl_->saw(version);
    impl_->refresh_bell();
}

std::optional<std::uint64_t> Array::wait(Timeout timeout, std::optional<std::uint64_t> since) {
    return in_operation("wait", impl_->name, [&]() -> std::optional<std::uint64_t> {
        const Impl::Use use(*impl_, "wait");
        impl_->require_current("wait", use.segment());
        sync::Patience patience(timeout.count(), impl_->spin,
                                [this] { impl_->go_on("wait", true); });
        std::uint64_t version = 0;
        const std::uint64_t known = since.value_or(impl_->seen.load(std::memory_order_relaxed));
        switch (use.version().wait_newer(known, patience, version)) {
            case sync::WaitOutcome::incomplete:
                throw incomplete("wait", impl_->name);
            case sync::WaitOutcome::timed_out:
                impl_->refresh_bell();  // it may have rung for what was seen already
                return std::nullopt;
            case sync::WaitOutcome::newer:
                break;
        }
        impl_->saw(version);
        impl_->refresh_bell();
        return version;
    });
}

int Array::fileno() {
    return in_operation("fileno", impl_->name, [&] {
        const Impl::Use use(*impl_, "fileno");
        return impl_->bell(use);
    });
}

void Array::unlink() {
    in_operation("unlink", impl_->name, [&] {
        const Impl::Use use(*impl_, "unlink");
        Segment& segment = use.segment();
        api::NameChange change(impl_->full_name);
        try {
            (void)change.find();  // a stale link is led to living memory first, perhaps to ours
        } catch (const CorruptBytes&) {
            // Not ours then; where_leads says so.
        }
        if (api::where_leads(impl_->full_name, segment.id()) != api::Leads::here) return;
        change.remove();
        segment.clear_named();
        sync::Atomics::store_release(segment.control().words().state,
                                     static_cast<std::uint32_t>(layout::kUnlinked));
    });
}

void Array::close() noexcept {
    if (impl_) impl_->close();
}

}  // namespace ndshare
