#include "api/subscriber.h"

#include <algorithm>

#include "api/attrs.h"
#include "api/book.h"
#include "api/interrupt.h"
#include "api/operation.h"
#include "base/check.h"
#include "platform/process.h"

namespace ndshare {
namespace {

using api::in_operation;
using api::StreamMemory;

constexpr std::int64_t kNameLookPeriodNs = 15'000'000;
// How often a spinning subscriber looks at the publishers' word beside the history.
constexpr std::uint32_t kLooksPerLatest = 16;

// Half of the slots, so that no subscriber starves the publisher alone.
std::size_t pins_max(std::size_t slot_count) {
    return slot_count < 4 ? 1 : std::max<std::size_t>(2, slot_count / 2);
}

}  // namespace

// ---- making and closing -------------------------------------------------------------------------

Subscriber::Impl::Impl(std::string user_name, std::string whole_name,
                       const SubscriberOptions& wishes)
    : name(std::make_shared<const std::string>(std::move(user_name))),
      full_name(std::move(whole_name)),
      options(wishes),
      spin(wishes.spin.count()) {}
Subscriber::Impl::~Impl() { close(); }

Subscriber::Subscriber(std::string_view name, const SubscriberOptions& options) {
    in_operation("subscribe", name, [&] {
        impl_ = std::make_shared<Impl>(
            std::string(name),
            options.full_name.empty() ? api::full_name_of(name) : options.full_name, options);
        // Early, so that a `block` publisher waits for it from now on; what is wrong is said by
        // get(), since it may be mended by then.
        try {
            in_operation("subscribe", name, [&] { (void)impl_->memory(); });
        } catch (const Error&) {
        }
    });
}
Subscriber::Subscriber(Subscriber&&) noexcept = default;
Subscriber& Subscriber::operator=(Subscriber&& other) noexcept {
    if (this != &other) {
        close();
        impl_ = std::move(other.impl_);
    }
    return *this;
}
Subscriber::~Subscriber() { close(); }
void Subscriber::close() noexcept {
    if (impl_) impl_->close();
}
bool Subscriber::closed() const noexcept { return !impl_ || impl_->gate.closed(); }

Subscriber::Impl::Use::Use(Impl& impl, const char* operation) : impl_(impl) {
    const bool inside = impl.gate.enter();
    if (inside && !impl.gate.closed()) return;
    if (inside) impl.leave();
    throw Error(Errc::closed, operation, *impl.name, "this subscriber is closed; make another one");
}

void Subscriber::Impl::leave() noexcept {
    if (!gate.leave()) return;
    const std::lock_guard lock(mutex_);
    detach();
    const std::lock_guard bells(api::bells_mutex());
    poll_.reset();
}

void Subscriber::Impl::close() noexcept {
    if (!gate.close()) return;
    if (gate.has_visitors()) {
        const std::lock_guard lock(mutex_);
        if (memory_) sync::Ground::wake_all(memory_->control.words().latest);
    }
    {
        const std::lock_guard bells(api::bells_mutex());
        if (poll_ && poll_->process == platform::identity().pid) poll_->bell.ring();
    }
    leave();
}

// ---- memory -------------------------------------------------------------------------------------

void Subscriber::Impl::require_expected(const StreamMemory& memory) const {
    if (!options.expect) return;
    if (memory.fields.size() != 1) {
        throw Error(Errc::spec_mismatch, "subscribe", *name,
                    "expected one field, found " + api::fields_to_string(memory.fields));
    }
    const Spec& found = memory.fields.front().second;
    const bool same = (!options.expect_shape || (options.expect->shape == found.shape &&
                                                 options.expect->maxshape == found.maxshape)) &&
                      (!options.expect_dtype || options.expect->dtype == found.dtype);
    if (!same) throw SpecMismatch("open", *name, *options.expect, found);
}

bool Subscriber::Impl::try_attach() {
    std::optional<api::Found> found;
    try {
        // Not a moment: the name may be in the middle of a change that takes long.
        found = api::find(full_name, platform::Deadline(0));
    } catch (const TimedOut&) {
        return false;
    }
    if (!found) return false;
    auto memory = api::attach_stream(std::move(*found), false);
    if (!memory) return false;
    require_expected(*memory);
    auto lease = std::make_shared<api::EndLease>(memory, layout::kEndJoining, name);
    // From here nothing that we may want is overwritten by a `block` publisher.
    api::Ring ring = memory->ring();
    const std::uint64_t last = ring.last_seq();
    // Relaxed: never changes.
    const std::uint64_t first = sync::Atomics::load_relaxed(memory->control.words().first_seq);
    // Numbers go on from memory to memory; where they do not (it was unlinked, and the clock went
    // back), its own beginning counts.
    const bool goes_on = has_cursor_ && sync::seq_distance(cursor_, last) <= 0;
    if (options.latest) {
        cursor_ = last != first ? last - 1 : last;
    } else if (has_cursor_ && (!goes_on || sync::seq_distance(cursor_, first) <= 0)) {
        cursor_ = first;  // new memory: what was overwritten in it meanwhile is lost to us
    } else if (!has_cursor_) {
        cursor_ = ring.before_oldest();
    }
    before_us_ = has_cursor_ ? cursor_ : last;
    has_cursor_ = true;
    end_was_told_ = name_moved_ = false;
    lease->set_cursor(cursor_);
    lease->set_count(lost_.load(std::memory_order_relaxed));
    lease->set_kind(options.latest ? layout::kEndLatest : layout::kEndInOrder);
    memory->ends().tell_room();
    memory_ = std::move(memory);
    lease_ = std::move(lease);
    return true;
}

void Subscriber::Impl::detach() noexcept {
    if (memory_) {
        const std::lock_guard bells(api::bells_mutex());
        if (poll_) poll_->bell.detach(*memory_->segment);
    }
    // Frames that are still held keep the end; nobody need wait for its cursor.
    if (lease_ && lease_->is_here() && !memory_->segment->is_lost()) {
        lease_->set_kind(layout::kEndIdle);
        memory_->ends().tell_room();
    }
    lease_.reset();
    memory_.reset();
}

bool Subscriber::Impl::should_move() const {
    return name_moved_ || memory_->state() == layout::kReplaced;
}

bool Subscriber::Impl::should_move_by_now() {
    if (should_move()) return true;
    const std::int64_t now = platform::monotonic_ns();
    if (memory_->state() == layout::kLive && now - name_looked_ns_ < kNameLookPeriodNs) {
        return false;
    }
    ask_the_name();
    return name_moved_;
}

void Subscriber::Impl::look_at_the_name() {
    const std::lock_guard lock(mutex_);
    ask_the_name();
}

void Subscriber::Impl::ask_the_name() {
    if (!memory_ || name_moved_) return;
    name_looked_ns_ = platform::monotonic_ns();
    name_moved_ = api::is_replaced(*memory_->segment);
}

std::shared_ptr<const StreamMemory> Subscriber::Impl::memory() {
    const std::lock_guard lock(mutex_);
    if (!memory_) (void)try_attach();
    return memory_;
}

// ---- taking -------------------------------------------------------------------------------------

api::Ring::Outcome Subscriber::Impl::take_place(api::Ring::Place& place, std::uint64_t& lost) {
    api::Ring ring = memory_->ring();
    return options.latest ? ring.take_latest(lease_->index(), cursor_, place)
                          : ring.take_next(lease_->index(), cursor_, lost, place);
}

void Subscriber::Impl::count_lost(std::uint64_t cursor_before, std::uint64_t lost) {
    // A newcomer begins with the oldest frame that it can get. A publisher that looked before it
    // came may hold that one at this moment (`block`), or take it away: nothing is lost to it yet.
    const std::int64_t older = sync::seq_distance(before_us_, cursor_before);
    if (lost > 0 && older > 0) lost -= std::min(lost, static_cast<std::uint64_t>(older));
    before_us_ = cursor_;
    if (lost == 0) return;
    const std::uint64_t all = lost_.load(std::memory_order_relaxed) + lost;
    lost_.store(all, std::memory_order_relaxed);
    lease_->set_count(all);
}

std::shared_ptr<const Frame::Impl> Subscriber::Impl::make_frame(const api::Ring::Place& place,
                                                                bool copy) {
    try {
        return Frame::Impl::make(lease_, place, copy);
    } catch (const std::bad_alloc&) {
        put_back(place.seq);
        lease_->unpin(place.slot);
        throw;
    } catch (...) {
        lease_->unpin(place.slot);
        throw;
    }
}

void Subscriber::Impl::put_back(std::uint64_t seq) {
    cursor_ = before_us_ = seq - 1;
    show_cursor();
    // SYNC(joins): before it is unpinned. Publishers may have noted that it was read.
    memory_->ends().announce();
}

void Subscriber::Impl::give_back(const Step& step) {
    const std::lock_guard lock(mutex_);
    // Else another thread got a later one, or newer memory: this one is lost to us.
    if (memory_ && step.frame->origin == lease_ && cursor_ == step.frame->seq) {
        put_back(step.frame->seq);
    }
}

Subscriber::Impl::Step Subscriber::Impl::take() {
    Step step;
    memory_->segment->require_attached();
    if (lease_->is_dormant()) lease_->wake_up(cursor_);
    const std::uint64_t cursor_before = cursor_;
    api::Ring::Place place;
    std::uint64_t lost = 0;
    auto outcome = take_place(place, lost);
    if (outcome != api::Ring::Outcome::frame) {
        // Before the look that may lead to a sleep. Not before the first one: its line is the
        // publishers' as long as there are frames.
        step.latest = memory_->ring().latest();
        outcome = take_place(place, lost);
    }
    count_lost(cursor_before, lost);
    show_cursor();
    switch (outcome) {
        case api::Ring::Outcome::frame: {
            const bool copy = lease_->pin_count() > pins_max(memory_->control.slot_count());
            step.news = News::frame;
            step.frame = make_frame(place, copy);
            break;
        }
        case api::Ring::Outcome::ended:
            step.news = News::ended;
            break;
        case api::Ring::Outcome::nothing:
            break;
    }
    if (step.news != News::frame) step.memory = memory_;
    return step;
}

Subscriber::Impl::Step Subscriber::Impl::step(bool attach) {
    const std::lock_guard lock(mutex_);
    return step_inside(attach);
}

Subscriber::Impl::Step Subscriber::Impl::step_inside(bool attach) {
    for (;;) {
        if (!memory_ && (!attach || !try_attach())) return {};
        Step now = take();
        if (now.news == News::frame) return now;
        // All of this memory was read; the end of it is told once, then newer memory is followed.
        if (!attach) return now;
        if (now.news == News::ended && !end_was_told_) {
            end_was_told_ = true;
            return now;
        }
        if (!should_move_by_now()) return now;
        detach();
    }
}

// ---- waiting ------------------------------------------------------------------------------------

void Subscriber::Impl::go_on(const char* operation) {
    api::check_interrupt();
    if (gate.closed()) {
        throw Error(Errc::closed, operation, *name, "the subscriber was closed while waiting");
    }
    look_at_the_name();
}

void Subscriber::Impl::sleep(const Step& step, sync::Patience& patience) {
    if (!step.memory) {
        // Made before another look, so that a name that appears in between is seen.
        platform::FolderWatch watch;
        api::watch_names(watch);
        if (!memory()) watch.wait(patience.next_slice_ns());
        return;
    }
    auto& words = step.memory->control.words();
    sync::Sleepers sleepers(words.need_wake, step.memory->segment->ground());
    if (!sleepers.announce(words.latest, step.latest)) return;
    // What replaced it sets the state first and wakes then.
    if (step.memory->state() == layout::kReplaced) return;
    sync::Ground::sleep(words.latest, static_cast<std::uint32_t>(step.latest),
                        patience.next_slice_ns());
}

void Subscriber::Impl::throw_end(const char* operation) const {
    throw Error(Errc::end_of_stream, operation, *name,
                "the stream was ended by its publisher, and all its frames were read");
}

// What is there; where we may spin, a look at the history alone must do for "nothing".
Subscriber::Impl::Step Subscriber::Impl::look_first(const sync::Patience& patience) {
    const std::lock_guard lock(mutex_);
    const bool has_none = !options.latest && memory_ && !memory_->ring().has_next(cursor_);
    if (has_none && spin.ns() > 0 && !patience.over()) {
        return {News::nothing, nullptr, memory_, 0};
    }
    return step_inside(true);
}

Subscriber::Impl::Step Subscriber::Impl::wait_for_news(sync::Patience& patience) {
    Step now = look_first(patience);
    const auto is_over = [&] { return now.news != News::nothing || gate.closed(); };
    if (!is_over() && now.memory) {
        // Looks without the mutex; relaxed: another thread that takes meanwhile makes them in vain.
        const auto memory = now.memory;
        std::uint32_t looks = 0;
        patience.spin_until([&] {
            const api::Ring ring = memory->ring();
            const std::uint64_t cursor = cursor_for_spin_.load(std::memory_order_relaxed);
            const bool seldom = ++looks % kLooksPerLatest == 0 || options.latest;
            if (!(ring.has_next(cursor) || (seldom && ring.latest() != now.latest))) {
                return seldom && gate.closed();
            }
            now = step(false);
            return is_over() || now.memory != memory;
        });
    }
    if (now.news != News::frame) now = step(true);
    while (now.news == News::nothing) {
        if (gate.closed()) go_on("get");
        if (patience.over()) break;
        sleep(now, patience);
        patience.ask_whether_to_go_on();
        now = step(true);
    }
    // Else it may be there and not to be seen.
    if (now.news == News::nothing && !now.memory) api::require_proc();
    refresh_bell_after(now.news == News::frame);
    return now;
}

std::optional<Frame> Subscriber::get(Timeout timeout) {
    return in_operation("get", *impl_->name, [&]() -> std::optional<Frame> {
        const Impl::Use use(*impl_, "get");
        sync::Patience patience(timeout.count(), impl_->spin, [this] { impl_->go_on("get"); });
        auto step = impl_->wait_for_news(patience);
        if (step.news == Impl::News::frame) return Frame(std::move(step.frame));
        if (step.news == Impl::News::nothing) return std::nullopt;
        impl_->throw_end("get");
    });
}

Subscriber::iterator& Subscriber::iterator::operator++() {
    frame_.reset();
    try {
        frame_ = subscriber_->get();
    } catch (const Error& e) {
        if (e.code() != Errc::end_of_stream && e.code() != Errc::closed) throw;
    }
    return *this;
}

// ---- looking ------------------------------------------------------------------------------------

std::uint64_t Subscriber::Impl::lag() {
    const std::lock_guard lock(mutex_);
    if (!memory_) return 0;
    const std::int64_t ahead =
        sync::seq_distance(sync::seq_of(memory_->ring().latest()), cursor_ & sync::kSeqMask);
    return ahead > 0 ? static_cast<std::uint64_t>(ahead) : 0;
}

int Subscriber::publisher_count() const {
    return in_operation("publisher_count", *impl_->name, [&] {
        const Impl::Use use(*impl_, "publisher_count");
        const auto memory = impl_->memory();
        return memory ? static_cast<int>(memory->ends().count(layout::kEndPublisher)) : 0;
    });
}
std::uint64_t Subscriber::lost() const noexcept { return impl_->lost(); }
std::uint64_t Subscriber::lag() const { return impl_->lag(); }
std::string_view Subscriber::name() const noexcept { return *impl_->name; }
std::string_view Subscriber::full_name() const noexcept { return impl_->full_name; }
bool Subscriber::latest() const noexcept { return impl_->options.latest; }

std::optional<Fields> Subscriber::fields() {
    return in_operation("spec", *impl_->name, [&]() -> std::optional<Fields> {
        const Impl::Use use(*impl_, "spec");
        const auto memory = impl_->memory();
        if (!memory) return std::nullopt;
        return memory->fields;
    });
}
bool Subscriber::is_object() {
    return in_operation("spec", *impl_->name, [&] {
        const Impl::Use use(*impl_, "spec");
        const auto memory = impl_->memory();
        return memory && memory->plan.is_object();
    });
}
std::string Subscriber::attrs_json() {
    return in_operation("attrs", *impl_->name, [&] {
        const Impl::Use use(*impl_, "attrs");
        const auto memory = impl_->memory();
        return memory ? api::attrs_json(*memory->segment) : std::string("{}");
    });
}

}  // namespace ndshare
