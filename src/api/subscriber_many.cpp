// Subscriber: many small frames at once, copied out without pins.
#include <cstring>

#include "api/operation.h"
#include "api/subscriber.h"
#include "base/check.h"
#include "sync/racy_copy.h"

namespace ndshare {
namespace {

using api::in_operation;

// get_many(): after so many frames a `block` publisher hears that they were read.
constexpr std::size_t kFramesPerCursor = 16;

// The one field whose frames lie side by side in out.
const layout::Field& only_field(const std::vector<layout::Field>& fields,
                                std::span<const std::byte> out, std::size_t count) {
    const layout::Field& field = fields.front();
    if (fields.size() != 1 || field.variable) {
        throw Invalid("get_many() is for streams of one field and one shape");
    }
    if (out.size() < count * field.max_bytes) {
        throw Invalid("the destination has " + std::to_string(out.size()) + " bytes, " +
                      std::to_string(count) + " frames " + std::to_string(count * field.max_bytes));
    }
    return field;
}

}  // namespace

void Subscriber::Impl::tell_cursor() {
    show_cursor();
    // As an unpin would: a `block` publisher may wait for this.
    sync::Ground::fence_seq_cst();
    memory_->ends().tell_room();
}

std::size_t Subscriber::Impl::take_many(std::span<std::byte> out, std::size_t count) {
    const std::lock_guard lock(mutex_);
    if (!memory_) return 0;
    if (lease_->is_dormant()) lease_->wake_up(cursor_);
    const layout::Field& field = only_field(memory_->plan.fields, out, count);
    const std::uint64_t cursor_before = cursor_;
    std::size_t done = 0;
    std::uint64_t lost = 0;
    api::Ring ring = memory_->ring();
    try {
        while (done < count) {
            std::byte* to = out.data() + done * field.max_bytes;
            api::Ring::Place place;
            const auto outcome =
                options.latest ? ring.take_latest(lease_->index(), cursor_, place)
                               : ring.copy_next(cursor_, lost, [&](const api::Ring::Place& from) {
                                     sync::racy_copy(to, memory_->slot(from.slot), field.max_bytes);
                                 });
            if (outcome != api::Ring::Outcome::frame) break;
            if (options.latest) {
                std::memcpy(to, memory_->slot(place.slot), field.max_bytes);
                lease_->unpin(place.slot);
            }
            // Publishers hear of it now and then: their line changes that seldom.
            if (++done % kFramesPerCursor == 0) tell_cursor();
        }
    } catch (const CorruptBytes&) {
        if (done == 0) throw;  // else the next call says it
    }
    if (done > 0) tell_cursor();
    count_lost(cursor_before, lost);
    return done;
}

std::size_t Subscriber::get_many(std::span<std::byte> out, std::size_t count, Timeout timeout) {
    return in_operation("get_many", *impl_->name, [&]() -> std::size_t {
        const Impl::Use use(*impl_, "get_many");
        if (count == 0) return 0;
        sync::Patience patience(timeout.count(), impl_->spin, [this] { impl_->go_on("get_many"); });
        std::size_t done = impl_->take_many(out, count);
        if (done > 0) {
            impl_->refresh_bell_after(true);
            return done;
        }
        const auto first = impl_->wait_for_news(patience);
        if (first.news == Impl::News::nothing) return 0;
        if (first.news == Impl::News::ended) impl_->throw_end("get_many");
        std::size_t bytes = 0;
        try {
            bytes = only_field(*first.frame->plan, out, count).max_bytes;
        } catch (const Invalid&) {
            impl_->give_back(first);
            throw;
        }
        std::memcpy(out.data(), first.frame->field(0).data, bytes);
        return 1 + impl_->take_many(out.subspan(bytes), count - 1);
    });
}

}  // namespace ndshare
