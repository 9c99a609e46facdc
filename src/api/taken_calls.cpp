#include "api/taken_calls.h"

#include <algorithm>
#include <cstring>

#include "api/bell.h"
#include "api/views.h"
#include "base/check.h"
#include "platform/clock.h"

namespace ndshare::api {
namespace {

using sync::Atomics;
using sync::RequestKind;

std::size_t bytes_of(const layout::Field& field, const Shape& shape) {
    std::size_t bytes = field.itemsize;
    for (const std::int64_t extent : shape) bytes *= static_cast<std::size_t>(extent);
    return bytes;
}

std::size_t bucket_of(std::int64_t duration_ns) {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(duration_ns, 1));
    return std::min<std::size_t>(63 - static_cast<std::size_t>(__builtin_clzll(ns)),
                                 layout::kDurationBuckets - 1);
}

}  // namespace

TakenCalls::TakenCalls(std::shared_ptr<WorkLoad> load, std::shared_ptr<const ServiceMemory> memory,
                       std::shared_ptr<ServiceLease> lease,
                       const std::vector<sync::WaitingCall>& calls)
    : load_(std::move(load)),
      memory_(std::move(memory)),
      owner_(memory_->segment->owner()),
      lease_(std::move(lease)),
      taken_ns_(platform::monotonic_ns()) {
    calls_.reserve(calls.size());
    for (const auto& call : calls) calls_.push_back({{call.slot, call.word}});
    const bool side_by_side = sync::are_neighbours(calls, calls.size());
    for (const auto& field : memory_->plan.inputs) {
        input_shapes_.push_back(field.shape);
        if (!field.variable) continue;
        // The others have the same: their keys agree, and each client's word is checked below.
        std::vector<std::int64_t> extents;
        for (std::size_t k = 0; k < calls.size(); ++k) {
            extents.clear();
            read_extents({field}, memory_->bytes, calls[k].slot * memory_->plan.extras_stride_bytes,
                         extents);
            if (k > 0 && extents != input_shapes_.back()) {
                throw CorruptBytes("calls of different shapes have one key");
            }
            input_shapes_.back() = extents;
        }
    }
    for (const auto& field : memory_->plan.results) {
        outputs_.insert(outputs_.end(), calls.size(),
                        {field.shape, !field.variable, nullptr, false});
    }
    inputs_.resize(memory_->plan.inputs.size());
    is_gathered_ = !side_by_side;
    if (calls.size() > 1) gather_inputs();
    auto& line = memory_->control.worker(lease_->index());
    // Relaxed, here and below: figures for people.
    const auto now = static_cast<std::uint64_t>(taken_ns_);
    if (load_->under_way.fetch_add(static_cast<std::int64_t>(calls_.size())) == 0) {
        Atomics::store_relaxed(line.busy_since_ns, now);
    }
    Atomics::store_relaxed(line.progress_ns, now);
    Atomics::store_relaxed(line.slot, static_cast<std::uint64_t>(calls_.front().held.slot));
    Atomics::add_seq_cst(line.taken, static_cast<std::uint64_t>(calls_.size()));
    Atomics::add_seq_cst(line.batches, std::uint64_t{1});
    if (is_gathered_) Atomics::add_seq_cst(line.gathered, std::uint64_t{1});
}

TakenCalls::~TakenCalls() { give_back_open(); }

void TakenCalls::give_back_open() noexcept {
    if (owner_ != memory_->segment->owner() || memory_->segment->is_lost()) return;
    std::size_t count = 0;
    for (One& one : calls_) {
        if (!one.open) continue;
        one.open = false;
        ++count;
        try {
            memory_->pool().redeliver(one.held);
        } catch (const std::exception&) {
            // Its state was overwritten by somebody: nothing that we could do is right.
        }
    }
    if (count == 0) return;
    note_over(count, true);
    api::ring_armed(memory_->control.common());
}

// Fields whose calls are not side by side: the pool's gaps, or shapes below the largest.
void TakenCalls::gather_inputs() {
    for (std::size_t f = 0; f < memory_->plan.inputs.size(); ++f) {
        const layout::Field& field = memory_->plan.inputs[f];
        const std::size_t bytes = bytes_of(field, input_shapes_[f]);
        if (!is_gathered_ && bytes == field.stride_bytes) continue;
        is_gathered_ = true;
        inputs_[f] = make_aligned(bytes * calls_.size());
        for (std::size_t k = 0; k < calls_.size(); ++k) {
            std::memcpy(inputs_[f].get() + k * bytes, memory_->at(field, calls_[k].held.slot),
                        bytes);
        }
    }
}

const std::byte* TakenCalls::input(std::size_t f, std::size_t begin, std::size_t count,
                                   Shape& shape) {
    const layout::Field& field = memory_->plan.inputs[f];
    shape.assign(1, static_cast<std::int64_t>(count));
    shape.insert(shape.end(), input_shapes_[f].begin(), input_shapes_[f].end());
    if (count == 0) return memory_->read_only_at(field, 0);
    if (inputs_[f]) return inputs_[f].get() + begin * bytes_of(field, input_shapes_[f]);
    return memory_->read_only_at(field, calls_[begin].held.slot);
}

// One array in the pool: neighbours without gaps between them.
bool TakenCalls::are_together(std::size_t begin, std::size_t count, std::size_t bytes,
                              const layout::Field& field) const {
    if (count <= 1) return true;
    const std::size_t distance = calls_[begin + count - 1].held.slot - calls_[begin].held.slot;
    return distance == count - 1 && bytes == field.stride_bytes;
}

std::byte* TakenCalls::output(std::size_t f, std::size_t begin, std::size_t count, Shape& shape) {
    require_ours();
    const std::lock_guard lock(mutex_);
    const layout::Field& field = memory_->plan.results[f];
    if (count == 0) {
        shape.assign(1, 0);
        shape.insert(shape.end(), field.shape.begin(), field.shape.end());
        return memory_->at(field, 0);
    }
    const Output& first = output_of(f, begin);
    shape.assign(1, static_cast<std::int64_t>(count));
    shape.insert(shape.end(), first.shape.begin(), first.shape.end());
    const std::size_t bytes = bytes_of(field, first.shape);
    bool is_one_piece = true, is_in_pool = true, was_viewed = false;
    for (std::size_t k = 0; k < count; ++k) {
        const Output& one = output_of(f, begin + k);
        if (one.shape != first.shape) {
            throw Invalid("\"" + field.name +
                          "\" has different shapes in this batch by now; fill batch[i].outputs");
        }
        is_one_piece &= one.apart != nullptr && one.apart == first.apart + k * bytes;
        // What was answered is its caller's: whatever is stored from now on goes elsewhere.
        is_in_pool &= one.apart == nullptr && calls_[begin + k].open;
        was_viewed |= one.was_viewed && calls_[begin + k].open;
    }
    for (std::size_t k = 0; k < count; ++k) output_of(f, begin + k).was_viewed = true;
    if (is_one_piece) return first.apart;
    if (is_in_pool && are_together(begin, count, bytes, field)) {
        return memory_->at(field, calls_[begin].held.slot);
    }
    if (was_viewed) {  // what is stored through that view must be the answer
        throw Invalid("\"" + field.name +
                      "\" was given out for single calls, which are not neighbours; fill "
                      "batch[i].outputs");
    }
    apart_.push_back(make_aligned(std::max<std::size_t>(bytes * count, 1)));
    std::byte* const made = apart_.back().get();
    for (std::size_t k = 0; k < count; ++k) {
        Output& one = output_of(f, begin + k);
        std::memcpy(
            made + k * bytes,
            one.apart != nullptr ? one.apart : memory_->at(field, calls_[begin + k].held.slot),
            bytes);
        one.apart = made + k * bytes;
    }
    return made;
}

void TakenCalls::fill(std::size_t f, std::size_t begin, std::size_t count, const std::byte* rows) {
    require_ours();
    const std::lock_guard lock(mutex_);
    const layout::Field& field = memory_->plan.results[f];
    for (std::size_t k = begin; k < begin + count; ++k) {
        const Output& one = output_of(f, k);
        const std::size_t bytes = bytes_of(field, one.shape);
        if (calls_[k].open) {  // else its answer stays
            std::byte* const to =
                one.apart != nullptr ? one.apart : memory_->at(field, calls_[k].held.slot);
            std::memcpy(to, rows, bytes);
        }
        rows += bytes;
    }
}

void TakenCalls::resize(std::size_t f, std::size_t begin, std::size_t count, const Shape& shape) {
    require_ours();
    const std::lock_guard lock(mutex_);
    require_resizable(memory_->plan.results[f], memory_->results[f].second, shape);
    for (std::size_t k = begin; k < begin + count; ++k)
        output_of(f, k) = {shape, true, nullptr, false};
}

void TakenCalls::require_shapes(std::size_t begin, std::size_t count) const {
    for (std::size_t f = 0; f < memory_->plan.results.size(); ++f) {
        for (std::size_t k = begin; k < begin + count; ++k) {
            if (!calls_[k].open || output_of(f, k).has_shape) continue;
            throw Invalid("the output \"" + memory_->plan.results[f].name +
                          "\" has no shape yet; say it by resize()");
        }
    }
}

// REQUIRES: the mutex; k is open.
void TakenCalls::deliver(std::size_t k) {
    const std::size_t slot = calls_[k].held.slot;
    for (std::size_t f = 0; f < memory_->plan.results.size(); ++f) {
        const layout::Field& field = memory_->plan.results[f];
        const Output& output = output_of(f, k);
        if (output.apart != nullptr) {
            std::memcpy(memory_->at(field, slot), output.apart, bytes_of(field, output.shape));
        }
        if (field.variable) {
            std::memcpy(memory_->extents(field, slot), output.shape.data(),
                        output.shape.size() * sizeof(std::int64_t));
        }
    }
}

void TakenCalls::require_ours() const {
    if (owner_ == memory_->segment->owner() && !memory_->segment->is_lost()) return;
    throw Invalid("this batch was taken before fork(); the parent answers it");
}

// false: its state is not ours any more. The others are answered all the same.
bool TakenCalls::finish(std::size_t k, RequestKind kind) {
    try {
        (void)memory_->pool().finish(calls_[k].held, kind);
        return true;
    } catch (const CorruptBytes&) {
        return false;
    }
}

std::size_t TakenCalls::answer(std::size_t begin, std::size_t count) {
    require_ours();
    const std::lock_guard lock(mutex_);
    require_shapes(begin, count);
    std::size_t done = 0;
    bool wrong = false;
    for (std::size_t k = begin; k < begin + count; ++k) {
        if (!calls_[k].open) continue;
        deliver(k);
        calls_[k].open = false;
        ++done;
        wrong |= !finish(k, RequestKind::answered);
    }
    if (done > 0) note_over(done, false);
    if (wrong) throw CorruptBytes("a call that this worker has is another's");
    return done;
}

std::size_t TakenCalls::fail(std::size_t begin, std::size_t count, std::string_view message) {
    require_ours();
    const std::lock_guard lock(mutex_);
    std::string text(message);
    if (text.size() > layout::kErrorBytes) {
        // The end of a traceback says what, its beginning where.
        const std::string gap = "\n[...]\n";
        const std::size_t half = (layout::kErrorBytes - gap.size()) / 2;
        text = text.substr(0, half) + gap + text.substr(text.size() - half);
    }
    std::size_t done = 0;
    bool wrong = false;
    for (std::size_t k = begin; k < begin + count; ++k) {
        if (!calls_[k].open) continue;
        const std::size_t slot = calls_[k].held.slot;
        memory_->put_error(slot, text);
        calls_[k].open = false;
        ++done;
        wrong |= !finish(k, RequestKind::failed);
    }
    if (done > 0) note_over(done, true);
    if (wrong) throw CorruptBytes("a call that this worker has is another's");
    return done;
}

bool TakenCalls::is_open(std::size_t begin, std::size_t count) {
    if (owner_ != memory_->segment->owner() || memory_->segment->is_lost()) return false;
    const std::lock_guard lock(mutex_);
    return std::any_of(calls_.begin() + static_cast<std::ptrdiff_t>(begin),
                       calls_.begin() + static_cast<std::ptrdiff_t>(begin + count),
                       [](const One& one) { return one.open; });
}

void TakenCalls::note_over(std::size_t count, bool failed) {
    auto& line = memory_->control.worker(lease_->index());
    const std::int64_t now = platform::monotonic_ns();
    Atomics::store_relaxed(line.progress_ns, static_cast<std::uint64_t>(now));
    Atomics::add_seq_cst(failed ? line.failed : line.answered, static_cast<std::uint64_t>(count));
    Atomics::add_seq_cst(line.durations[bucket_of(now - taken_ns_)],
                         static_cast<std::uint32_t>(count));
    if (load_->under_way.fetch_sub(static_cast<std::int64_t>(count)) ==
        static_cast<std::int64_t>(count)) {
        const std::uint64_t since = Atomics::load_relaxed(line.busy_since_ns);
        Atomics::store_relaxed(line.busy_since_ns, std::uint64_t{0});
        Atomics::add_seq_cst(line.busy_ns, static_cast<std::uint64_t>(now) - since);
    }
    api::ring_armed(memory_->control.common());
}

}  // namespace ndshare::api
