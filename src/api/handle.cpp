#include "api/handle.h"

#include "api/book.h"
#include "api/interrupt.h"
#include "base/check.h"
#include "layout/name.h"

namespace ndshare {

Array::Impl::Impl(std::shared_ptr<api::Segment> segment, std::string user_name, bool may_write,
                  Timeout spin_time)
    : name(std::move(user_name)),
      writeable(may_write),
      spin(spin_time.count()),
      segment_(std::move(segment)) {
    const layout::Description& d = segment_->description();
    full_name = d.name;
    spec = {.shape = d.shape,
            .dtype = Dtype(std::string_view(d.dtype)),
            .order = d.fortran() ? Order::fortran : Order::c,
            .maxshape = {},
            .aligned = d.aligned()};
    nbytes = d.fields.data_bytes;
    generation = d.fields.generation;
    persistent = segment_->persistent();
    bytes = segment_->data(writeable);
}

Array::Impl::~Impl() { close(); }

void Array::Impl::saw(std::uint64_t version) noexcept {
    // Only forwards; relaxed, see the member.
    std::uint64_t known = seen.load(std::memory_order_relaxed);
    while (known < version &&
           !seen.compare_exchange_weak(known, version, std::memory_order_relaxed)) {
    }
}

// ---- the gate -----------------------------------------------------------------------------------

bool Array::Impl::enter() noexcept {
    if (!gate_.enter()) return false;
    if (!closed()) return true;
    leave();
    return false;
}

void Array::Impl::leave() noexcept {
    if (!gate_.leave()) return;
    has_bell_.store(false, std::memory_order_relaxed);
    bell_.detach(*segment_);
    segment_.reset();
}

Array::Impl::Use::Use(Impl& impl, const char* operation) : impl_(impl) {
    if (!impl.enter()) {
        throw Error(Errc::closed, operation, impl.name, "this handle is closed; open it again");
    }
    try {
        impl.segment_->require_attached();
    } catch (const Invalid& e) {
        impl.leave();
        throw Error(Errc::closed, operation, impl.name, e.what());
    }
}

Array::Impl::Use::Use(Impl& impl) : impl_(impl) {}

void Array::Impl::close() noexcept {
    if (!gate_.close()) return;
    // Wakes this handle's own sleepers, if any (others look again and sleep on).
    if (gate_.has_visitors()) {
        sync::Ground::wake_all(segment_->control().words().version);
    }
    {
        const std::lock_guard lock(api::bells_mutex());
        bell_.ring();
    }
    leave();
}

// ---- checks -------------------------------------------------------------------------------------

void Array::Impl::go_on(const char* operation, bool check_name) {
    api::check_interrupt();
    if (closed()) {
        throw Error(Errc::closed, operation, name, "the handle was closed while waiting");
    }
    if (check_name) require_current(operation, *segment_);
    // A replacer may have died before it said so; the book knows.
    if (check_name && is_replaced(*segment_)) {
        sync::Atomics::store_release(segment_->control().words().state,
                                     static_cast<std::uint32_t>(layout::kReplaced));
        require_current(operation, *segment_);
    }
}

bool Array::Impl::is_replaced(api::Segment& segment) const { return api::is_replaced(segment); }

void Array::Impl::require_current(const char* operation, api::Segment& segment) const {
    // SYNC(state): the common case is one load; a replacer that died on the way left his mark.
    const std::uint32_t state = sync::Atomics::load_acquire(segment.control().words().state);
    if (state == layout::kLive || state == layout::kUnlinked) return;
    if (state != layout::kReplaced && !api::is_replaced(segment)) return;
    throw Error(Errc::replaced, operation, name,
                "the name has new memory (somebody created it with existing=\"replace\"); open it "
                "again, this handle still reads the old one");
}

void Array::Impl::require_writeable(const char* operation) const {
    if (writeable) return;
    throw Error(Errc::forbidden, operation, name,
                "opened read-only; open it with writeable=True to change it");
}

bool Array::Impl::is_ready(const Use& use) {
    if (closed()) return true;
    auto version = use.version();
    const std::uint64_t word = version.load();
    if (sync::completed(word) > seen.load(std::memory_order_relaxed)) return true;
    if (sync::Atomics::load_acquire(use.segment().control().words().state) == layout::kReplaced) {
        return true;
    }
    return sync::is_odd(word) && version.is_incomplete();
}

// ---- fileno -------------------------------------------------------------------------------------

int Array::Impl::bell(const Use& use) {
    api::Segment& segment = use.segment();
    int fd = -1;
    {
        const std::lock_guard lock(api::bells_mutex());
        if (!bell_.is_attached(segment)) {
            bell_.make();  // another one in a forked child
            bell_.attach(segment);
            has_bell_.store(true, std::memory_order_relaxed);
        }
        fd = bell_.fd();
    }
    refresh_bell();
    return fd;
}

void Array::Impl::refresh_bell() {
    // Relaxed: a bell made meanwhile by another thread is refreshed by that thread.
    if (!has_bell_.load(std::memory_order_relaxed) || !enter()) return;
    const Use use(*this);
    const std::lock_guard lock(api::bells_mutex());
    if (!bell_.is_attached(use.segment())) return;
    bell_.arm(use.segment());
    if (is_ready(use)) bell_.ring();
}

// ---- wait() for several
// --------------------------------------------------------------------------

class Array::Impl::Round final : public api::WaitRound {
 public:
    // seen_ before the look: a later change is noticed.
    explicit Round(Array::Impl& impl)
        : impl_(impl), use_(impl, "wait"), seen_(use_.version().load()) {}
    bool is_ready() { return impl_.is_ready(use_); }
    std::optional<platform::FutexWord> announce() override {
        if (!use_.version().announce_sleep(seen_)) return std::nullopt;
        return platform::FutexWord{
            sync::WordAccess::futex_word(use_.segment().control().words().version),
            static_cast<std::uint32_t>(seen_)};
    }
    int bell() override { return impl_.bell(use_); }
    void look_at_the_name() override {
        // A replacer that died before saying so: the thing is ready, its wait() raises.
        if (!impl_.closed() && impl_.is_replaced(use_.segment())) {
            sync::Atomics::store_release(use_.segment().control().words().state,
                                         static_cast<std::uint32_t>(layout::kReplaced));
        }
    }

 private:
    Array::Impl& impl_;
    Array::Impl::Use use_;
    const std::uint64_t seen_;
};

std::unique_ptr<api::WaitRound> Array::Impl::begin_wait() {
    if (closed()) return nullptr;
    auto round = std::make_unique<Round>(*this);
    return round->is_ready() ? nullptr : std::move(round);
}

}  // namespace ndshare
