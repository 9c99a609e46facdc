// sync/batch_choice.h: which of the waiting calls go together. Pure. Threads: any. Blocks: no.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ndshare::sync {

struct WaitingCall {
    std::size_t slot = 0;
    std::uint64_t word = 0, order = 0, submitted_ns = 0, shape_key = 0;
    std::uint64_t deadline_ns = 0;  // 0: none
    std::int32_t priority = 0;
};

// Whose turn it is: the greatest priority; of these the least tag; the earlier one of two.
inline bool goes_before(const WaitingCall& a, const WaitingCall& b) {
    if (a.priority != b.priority) return a.priority > b.priority;
    if (a.order != b.order) return a.order < b.order;
    if (a.submitted_ns != b.submitted_ns) return a.submitted_ns < b.submitted_ns;
    return a.slot < b.slot;
}

inline bool are_neighbours(const std::vector<WaitingCall>& calls, std::size_t count) {
    return count == 0 || calls[count - 1].slot - calls[0].slot == count - 1;
}

// Keeps in calls those that go into one batch with the first in turn, sorted by slot; those that
// may not, because of their shapes, or are too many, are thrown out. Neighbours in the pool are
// preferred where a batch of them is as large.
inline void choose_batch(std::vector<WaitingCall>& calls, std::size_t size_max) {
    if (calls.empty()) return;
    const WaitingCall first = *std::min_element(calls.begin(), calls.end(), goes_before);
    if (size_max <= 1) {
        calls.assign(1, first);
        return;
    }
    std::erase_if(calls, [&](const WaitingCall& c) { return c.shape_key != first.shape_key; });
    const auto by_slot = [](const WaitingCall& a, const WaitingCall& b) { return a.slot < b.slot; };
    const std::size_t size = std::min(size_max, calls.size());
    std::sort(calls.begin(), calls.end(), by_slot);
    if (size == calls.size()) return;
    // No neighbour takes the place of a call with a greater priority.
    auto in_turn = calls;
    const auto last = in_turn.begin() + static_cast<std::ptrdiff_t>(size - 1);
    std::nth_element(in_turn.begin(), last, in_turn.end(), goes_before);
    std::erase_if(calls, [&](const WaitingCall& c) { return c.priority < last->priority; });
    const bool are_equals = first.priority == last->priority;
    // The run of neighbours around the first in turn.
    const auto at = static_cast<std::size_t>(
        std::lower_bound(calls.begin(), calls.end(), first, by_slot) - calls.begin());
    std::size_t begin = at, end = at + 1;
    while (begin > 0 && calls[begin - 1].slot + 1 == calls[begin].slot) --begin;
    while (end < calls.size() && calls[end - 1].slot + 1 == calls[end].slot) ++end;
    if (are_equals && end - begin >= size) {
        begin = std::max(begin, at + 1 >= size ? at + 1 - size : 0);
        calls.erase(calls.begin() + static_cast<std::ptrdiff_t>(begin + size), calls.end());
        calls.erase(calls.begin(), calls.begin() + static_cast<std::ptrdiff_t>(begin));
        return;
    }
    std::nth_element(calls.begin(), calls.begin() + static_cast<std::ptrdiff_t>(size), calls.end(),
                     goes_before);
    calls.resize(size);
    std::sort(calls.begin(), calls.end(), by_slot);
}

}  // namespace ndshare::sync
