#include "ndshare/array.hpp"

#include <algorithm>

#include "api/bell.h"
#include "api/book.h"
#include "api/handle.h"
#include "api/operation.h"
#include "api/views.h"
#include "base/check.h"
#include "layout/name.h"
#include "platform/process.h"
#include "sync/racy_copy.h"

namespace ndshare {
namespace {

using api::in_operation;
using api::Segment;

constexpr std::size_t kCopyPieceBytes = 256 << 10;
// Who writes has one of its own, and so has who reads; as many on the way back. By measurement a
// round trip may be faster past the cache from 4 to 5 MiB on, which is where four stop fitting in.
constexpr std::size_t kCopies = 4;

// Different for readers that ask at the same time; equal ones would only share a turn.
std::uint32_t make_nonce() {
    static std::atomic<std::uint32_t> count{0};
    const std::uint32_t number = count.fetch_add(1, std::memory_order_relaxed);
    const std::uint32_t mixed = (number * 2654435761U) ^ (platform::identity().pid * 40503U);
    return (mixed >> 8) % 0x7fff + 1;
}

void copy_in_pieces(std::byte* out, const std::byte* in, std::size_t bytes, auto progress) {
    platform::StreamCopy copy(bytes, bytes * kCopies);
    for (std::size_t at = 0; at < bytes; at += kCopyPieceBytes) {
        if (at > 0 && !progress()) return;
        sync::racy_copy(out + at, in + at, std::min(bytes - at, kCopyPieceBytes), copy);
    }
    copy.finish(out);
}

}  // namespace

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

std::uint32_t Array::writer_pid() const {
    return in_operation("writer_pid", name(), [&] {
        const Impl::Use use(*impl_, "writer_pid");
        const auto control = use.segment().control();
        const std::uint64_t owner = sync::Atomics::load_acquire(control.words().lock);
        if (!sync::names_a_row(owner)) return std::uint32_t{0};
        // Relaxed: for messages; a row that changes hands meanwhile says an older or newer pid.
        return sync::Atomics::load_relaxed(control.row(sync::row_of(owner)).pid);
    });
}

std::string Array::writer_text() const {
    const std::uint32_t pid = writer_pid();
    return pid == 0 ? "another writer did not let go in time"
                    : "process " + std::to_string(pid) +
                          " is inside write() and did not let go in time; is it stopped, or doing "
                          "slow work in the block?";
}

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
    api::require_view("view", impl_->name, impl_->spec, dtype, rank);
    return impl_->bytes;
}

// ---- reading ------------------------------------------------------------------------------------

namespace {

Error incomplete(const char* operation, const std::string& name) {
    return Error(Errc::incomplete_write, operation, name,
                 "the last write was not finished: its process died or its block raised. Its bytes "
                 "are a mixture; a complete write through a writeable handle heals it (a[...] = x, "
                 "or write(recover=True), which has to fill all of it)");
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
    api::ring_armed(state_->segment->control());
}

const Spec& Array::Write::spec() const noexcept { return state_->impl->spec; }

void* Array::Write::data(const Dtype& dtype, std::size_t rank) const {
    api::require_view("write", state_->impl->name, state_->impl->spec, dtype, rank);
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
        api::ring_armed(segment.control());
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
            throw Error(Errc::timeout, "write", impl_->name, writer_text());
        }
        std::byte* const out = writing->bytes().data();
        platform::StreamCopy copy(all.size(), all.size() * kCopies);
        sync::racy_copy(out, all.data(), all.size(), copy);
        copy.finish(out);
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
        std::optional<api::Found> found;
        try {
            found = change.find();  // a stale link is led to living memory first, perhaps to ours
        } catch (const CorruptBytes&) {
            // Not ours then.
        }
        if (!found || found->id != segment.id()) return;
        change.unlink(*found);
        segment.clear_named();
    });
}

void Array::close() noexcept {
    if (impl_) impl_->close();
}

}  // namespace ndshare
