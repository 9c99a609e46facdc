// Subscriber: its descriptor for poll, and its part in waits for several things.
#include "api/book.h"
#include "api/operation.h"
#include "api/subscriber.h"
#include "platform/process.h"

namespace ndshare {

using api::in_operation;
using api::StreamMemory;

// ---- poll ---------------------------------------------------------------------------------------

bool Subscriber::Impl::is_ready() {
    if (gate.closed()) return true;
    if (!memory_) return false;
    if (should_move()) return true;
    const std::uint64_t newest = memory_->ring().latest();
    if (sync::is_ended(newest)) return true;
    return sync::has_slot(newest) &&
           sync::seq_distance(sync::seq_of(newest), cursor_ & sync::kSeqMask) > 0;
}

int Subscriber::fileno() {
    return in_operation("fileno", *impl_->name, [&] {
        const Impl::Use use(*impl_, "fileno");
        return impl_->fileno();
    });
}

int Subscriber::Impl::fileno() {
    int fd = -1;
    {
        const std::lock_guard lock(mutex_);
        const std::lock_guard bells(api::bells_mutex());
        const std::uint32_t process = platform::identity().pid;
        if (!poll_ || poll_->process != process) {  // another one in a forked child
            auto made = std::make_unique<Poll>();
            made->process = process;
            made->bell.make();
            made->set.add(made->bell.fd());
            poll_ = std::move(made);
            has_poll_.store(true, std::memory_order_relaxed);
        }
        fd = poll_->set.fd();
    }
    refresh_bell();
    return fd;
}

void Subscriber::Impl::refresh_bell_after(bool has_frames) {
    if (!has_poll_.load(std::memory_order_relaxed)) return;
    try {
        refresh_bell();
    } catch (...) {
        if (!has_frames) throw;
    }
}

void Subscriber::Impl::refresh_bell() {
    const std::lock_guard lock(mutex_);
    {
        const std::lock_guard bells(api::bells_mutex());
        // Another process's, from before fork(): its pipe is not ours to touch.
        if (!poll_ || poll_->process != platform::identity().pid || gate.closed()) return;
        // Without live memory news come by the folder of names. Before the look at the name, so
        // that one that appears in between is heard.
        const bool watch = !memory_ || memory_->state() != layout::kLive;
        if (watch) {
            api::watch_names(poll_->names);
            poll_->names.empty();
        }
        if (watch != poll_->watching_names && poll_->names.fd() >= 0) {
            watch ? poll_->set.add(poll_->names.fd()) : poll_->set.remove(poll_->names.fd());
            poll_->watching_names = watch;
        }
    }
    if (memory_) {
        (void)should_move_by_now();
    } else {
        (void)try_attach();
    }
    const std::lock_guard bells(api::bells_mutex());
    poll_->bell.empty();
    if (memory_) {
        api::Segment& segment = *memory_->segment;
        if (!poll_->bell.is_attached(segment)) poll_->bell.attach(segment);
        poll_->bell.arm(segment);
    }
    if (is_ready()) poll_->bell.ring();
}

// ---- wait() for several
// --------------------------------------------------------------------------

class Subscriber::Impl::Round final : public api::WaitRound {
 public:
    explicit Round(Subscriber::Impl& impl) : impl_(impl), use_(impl, "wait") {
        const std::lock_guard lock(impl.mutex_);
        if (!impl.memory_) (void)impl.try_attach();
        memory_ = impl.memory_;
        if (memory_) seen_ = memory_->ring().latest();  // before the look
        ready_ = impl.is_ready();
    }
    bool is_ready() const { return ready_; }
    std::optional<platform::FutexWord> announce() override {
        if (!memory_) return platform::FutexWord{nullptr, 0};
        auto& words = memory_->control.words();
        sync::Sleepers sleepers(words.need_wake, memory_->segment->ground());
        if (!sleepers.announce(words.latest, seen_)) return std::nullopt;
        if (memory_->state() == layout::kReplaced) return std::nullopt;
        return platform::FutexWord{sync::WordAccess::futex_word(words.latest),
                                   static_cast<std::uint32_t>(seen_)};
    }
    int bell() override { return impl_.fileno(); }
    void look_at_the_name() override { impl_.look_at_the_name(); }

 private:
    Subscriber::Impl& impl_;
    Subscriber::Impl::Use use_;
    std::shared_ptr<const StreamMemory> memory_;
    std::uint64_t seen_ = 0;
    bool ready_ = false;
};

std::unique_ptr<api::WaitRound> Subscriber::Impl::begin_wait() {
    if (gate.closed()) return nullptr;
    auto round = std::make_unique<Round>(*this);
    return round->is_ready() ? nullptr : std::move(round);
}

}  // namespace ndshare
