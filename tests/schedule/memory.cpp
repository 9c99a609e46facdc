#include "schedule/memory.h"

#include <cstdlib>

namespace ndshare::schedule {
namespace {

std::uint64_t mixed(std::uint64_t h, std::uint64_t value) {
    std::uint64_t z = h * 0x9e3779b97f4a7c15ULL + value + 1;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

}  // namespace

void Memory::reset(bool weak) {
    for (std::size_t k = 0; k < count_; ++k) {
        Word& word = words_[k];
        const auto offset =
            static_cast<std::size_t>(static_cast<const std::byte*>(word.at) - base_);
        index_of_[offset / 4] = 0;
        std::memset(base_ + offset, 0, word.bytes);
        word.values.clear();
        word.last_seq_cst = 0;
    }
    count_ = 0;
    weak_ = weak;
    at_seq_cst_fences_ = {};
}

std::size_t Memory::find(const void* word, std::size_t bytes) {
    const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(word) - base_);
    std::uint8_t& index = index_of_.at(offset / 4);
    if (index == 0) {
        if (count_ == kWordsMax) std::abort();
        words_[count_].at = word;
        words_[count_].bytes = bytes;
        words_[count_].values.push_back({last(word, bytes), View{}});
        index = static_cast<std::uint8_t>(++count_);
    }
    return index - std::size_t{1};
}

std::uint64_t Memory::load(Knowledge& who, void* word, std::size_t bytes, Order order,
                           Choices& choices) {
    const std::size_t index = find(word, bytes);
    if (!weak_) return last(word, bytes);
    Word& w = words_[index];
    std::size_t oldest = who.now.at[index];
    if (order == Order::seq_cst) oldest = std::max<std::size_t>(oldest, w.last_seq_cst);
    const std::size_t newest = w.values.size() - 1;
    return observe(who, index, newest - choices.pick(newest - oldest + 1), order);
}

std::uint64_t Memory::observe(Knowledge& who, std::size_t index, std::size_t read, Order order) {
    Word& w = words_[index];
    const Value& value = w.values[read];
    const auto stamp = static_cast<std::uint16_t>(read);
    who.now.at[index] = std::max(who.now.at[index], stamp);
    who.after_fence.join(value.view);
    if (acquires(order)) who.now.join(value.view);
    if (order == Order::seq_cst) w.last_seq_cst = std::max(w.last_seq_cst, stamp);
    return value.value;
}

void Memory::append(Knowledge& who, std::size_t index, void* word, std::uint64_t value,
                    bool release, const View* inherited) {
    Word& w = words_[index];
    set(word, w.bytes, value);
    if (!weak_) return;
    const auto stamp = static_cast<std::uint16_t>(w.values.size());
    who.now.at[index] = stamp;
    View view = release ? who.now : who.at_fence;
    if (inherited != nullptr) view.join(*inherited);
    view.at[index] = stamp;
    w.values.push_back({value, view});
}

void Memory::store(Knowledge& who, void* word, std::size_t bytes, Order order,
                   std::uint64_t value) {
    const std::size_t index = find(word, bytes);
    append(who, index, word, value, releases(order), nullptr);
    if (weak_ && order == Order::seq_cst) words_[index].last_seq_cst = who.now.at[index];
}

std::uint64_t Memory::exchange(Knowledge& who, void* word, std::size_t bytes, std::uint64_t value,
                               Order order) {
    const std::size_t index = find(word, bytes);
    const std::uint64_t before = last(word, bytes);
    if (!weak_) {
        set(word, bytes, value);
        return before;
    }
    const View seen = words_[index].values.back().view;
    if (acquires(order)) who.now.join(seen);
    who.after_fence.join(seen);
    append(who, index, word, value, releases(order), &seen);
    if (order == Order::seq_cst) words_[index].last_seq_cst = who.now.at[index];
    return before;
}

bool Memory::compare_exchange(Knowledge& who, void* word, std::size_t bytes,
                              std::uint64_t& expected, std::uint64_t desired, Choices& choices,
                              Order order) {
    const std::size_t index = find(word, bytes);
    const std::uint64_t now = last(word, bytes);
    if (now != expected) {
        // An older value that happens to be the expected one would be a success, so is not read.
        const std::uint64_t wanted = expected;
        expected = load(who, word, bytes, order, choices);
        if (expected == wanted) {
            expected = weak_ ? observe(who, index, words_[index].values.size() - 1, order) : now;
        }
        return false;
    }
    if (!weak_) {
        set(word, bytes, desired);
        return true;
    }
    const View seen = words_[index].values.back().view;
    if (acquires(order)) who.now.join(seen);
    who.after_fence.join(seen);
    append(who, index, word, desired, releases(order), &seen);
    if (order == Order::seq_cst) words_[index].last_seq_cst = who.now.at[index];
    return true;
}

void Memory::fence(Knowledge& who, Order order) {
    if (!weak_) return;
    if (order != Order::release) who.now.join(who.after_fence);
    if (order == Order::seq_cst) {
        who.now.join(at_seq_cst_fences_);
        // A later load that read something older than a seq_cst access before this fence in S would
        // put the fence before that access ([atomics.order] 4.3).
        for (std::size_t k = 0; k < count_; ++k) {
            const auto seen = words_[k].last_seq_cst;
            who.now.at[k] = std::max(who.now.at[k], seen);
        }
        at_seq_cst_fences_ = who.now;
    }
    if (order != Order::acquire) who.at_fence = who.now;
}

std::uint64_t Memory::hash_view(const View& view) const {
    std::uint64_t h = 0;
    for (std::size_t k = 0; k < count_; ++k) {
        if (view.at[k] != 0) h += mixed(reinterpret_cast<std::uintptr_t>(words_[k].at), view.at[k]);
    }
    return h;
}

std::uint64_t Memory::hash(const Knowledge& who) const {
    if (!weak_) return 0;
    return mixed(mixed(hash_view(who.now), hash_view(who.after_fence)), hash_view(who.at_fence));
}

std::uint64_t Memory::hash() const {
    std::uint64_t h = weak_ ? hash_view(at_seq_cst_fences_) : 0;
    for (std::size_t k = 0; k < count_; ++k) {
        const Word& w = words_[k];
        const auto at = reinterpret_cast<std::uintptr_t>(w.at);
        const std::uint64_t value = last(w.at, w.bytes);
        if (!weak_) {
            if (value != 0) h += mixed(at, value);
            continue;
        }
        std::uint64_t all = mixed(at, w.last_seq_cst);
        for (const Value& one : w.values) all = mixed(mixed(all, one.value), hash_view(one.view));
        if (w.values.size() > 1) h += all;
    }
    return h;
}

}  // namespace ndshare::schedule
