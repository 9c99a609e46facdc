// What becomes of a call's answer: given out in its slot, or copied to give the slot back.
#include "api/client.h"
#include "api/stream_memory.h"
#include "api/views.h"
#include "base/check.h"
#include "platform/clock.h"

namespace ndshare {
namespace {
using api::ServiceMemory;
}  // namespace

// An answer that somebody keeps: its slot comes back with the last of its views.
class Call::Impl::KeptAnswer final : public api::FrameOrigin {
 public:
    KeptAnswer(std::shared_ptr<Client::Impl> client, std::shared_ptr<const ServiceMemory> memory,
               const sync::Held& held)
        : client_(std::move(client)),
          memory_(std::move(memory)),
          owner_(memory_->segment->owner()),
          held_(held) {}
    void unpin(std::size_t) noexcept override {
        if (owner_ != memory_->segment->owner()) return;  // a forked child's copy
        client_->kept.fetch_sub(1);
        client_->under_way.fetch_sub(1);
        if (!memory_->segment->is_lost()) memory_->pool().collect(held_);
    }
    const Fields& fields() const override { return memory_->results; }
    std::uint64_t generation() const override { return memory_->generation(); }
    bool is_object() const override { return false; }
    const std::string& name() const override { return *client_->name; }

 private:
    const std::shared_ptr<Client::Impl> client_;
    const std::shared_ptr<const ServiceMemory> memory_;
    const std::uint64_t owner_;
    const sync::Held held_;
};

Frame Call::Impl::result(Timeout timeout) {
    if (phase == Phase::loaned) {
        throw Error(Errc::closed, "call", *client->name, "this call was not submitted yet");
    }
    if (!is_ours()) {
        throw Invalid("this call was made before fork(); the parent gets its answer");
    }
    const Outcome what = wait(timeout);
    const std::lock_guard lock(mutex_);
    if (auto again = frame.lock()) return Frame::Impl::wrap(std::move(again));
    if (what != Outcome::answered) throw_outcome(what);
    if (phase != Phase::answered && !copied_) throw_let_go();
    std::shared_ptr<Frame::Impl> made = copied_ ? std::exchange(copied_, {}) : made_answer();
    if (phase == Phase::answered) {
        // Kept answers would stop the service some day: copies beyond this client's part.
        if (client->kept.load() >= client->share(seat).kept) {
            copy_answer(*made);
        } else {
            client->kept.fetch_add(1);
            made->pinned = true;
            phase = Phase::gone;
        }
    }
    was_given = true;
    frame = made;
    return Frame::Impl::wrap(std::move(made));
}

// As it lies in its slot. REQUIRES: it came.
std::shared_ptr<Frame::Impl> Call::Impl::made_answer() {
    const ServiceMemory& m = *seat.memory;
    auto origin = std::make_shared<KeptAnswer>(client, seat.memory, held);
    auto made = std::make_shared<Frame::Impl>(std::move(origin));
    made->plan = &m.plan.results;
    made->begin = m.read_only;
    made->slot = held.slot;
    made->seq = sync::ticket_of(held.word);
    const platform::Instant now = platform::now();
    made->time_ns = now.realtime_ns;
    made->steady_ns = now.monotonic_ns;
    api::read_extents(m.plan.results, m.bytes, held.slot * m.plan.extras_stride_bytes,
                      made->extents);
    return made;
}

void Call::Impl::copy_answer(Frame::Impl& answer) {
    answer.copy_fields(seat.memory->copy_plan, seat.memory->copy_bytes);
    seat.memory->pool().collect(held);
    give_slot_back(Phase::gone);
}

void Call::Impl::make_room() noexcept {
    if (!is_ours() || phase == Phase::gone) return;
    try {
        const std::lock_guard lock(mutex_);
        look();
        if (phase != Phase::answered) return;
        auto answer = made_answer();
        copy_answer(*answer);
        copied_ = std::move(answer);
    } catch (const std::exception&) {  // result() says what is wrong
    }
}

}  // namespace ndshare
