// sync/claim_memory.h: what a publisher remembers between claims, so that it need not look at every
// end each time. Private to a process.
// Threads: any. Relaxed: what is missed is looked up again. Blocks: no; a fork in the middle of the
// pair leaves it in use in the child, which then looks every time.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>

#include "layout/stream.h"
#include "sync/slot_words.h"

namespace ndshare::sync {

class ClaimMemory {
 public:
    // ---- what every in-order end has read while nobody joined or left -------------------------
    // A number that two threads of a handle mixed with the count of another look could call unread
    // frames read: who finds the pair in use does without.
    bool was_read(std::uint64_t seq, std::uint32_t joins) noexcept {
        if (pair_in_use_.test_and_set(std::memory_order_acquire)) return false;
        const bool was = has_read_ && joins_ == joins && seq_distance(seq, read_up_to_) <= 0;
        pair_in_use_.clear(std::memory_order_release);
        return was;
    }
    void note_read(std::uint64_t seq, std::uint32_t joins) noexcept {
        if (pair_in_use_.test_and_set(std::memory_order_acquire)) return;
        has_read_ = true;
        joins_ = joins;
        read_up_to_ = seq;
        pair_in_use_.clear(std::memory_order_release);
    }
    // ---- whether pins were met lately: then a look at the bits comes before BUSY --------------
    bool expects_pins() const noexcept { return pins_.load(std::memory_order_relaxed) > 0; }
    void met_pin() noexcept { pins_.store(kClaimsAfterPin, std::memory_order_relaxed); }
    void met_none() noexcept {
        const std::uint32_t left = pins_.load(std::memory_order_relaxed);
        if (left > 0) pins_.store(left - 1, std::memory_order_relaxed);
    }
    // ---- owner words that the kernel has called dead: they stay so ----------------------------
    bool has(std::size_t end, std::uint64_t owner) const noexcept {
        return owners_[end].load(std::memory_order_relaxed) == owner;
    }
    void add(std::size_t end, std::uint64_t owner) noexcept {
        owners_[end].store(owner, std::memory_order_relaxed);
    }
    // Now and then, also where slots are still to be had: what the dead left makes the history
    // shorter. Relaxed: one look more or less.
    bool is_time_to_ask() noexcept {
        return looks_.fetch_add(1, std::memory_order_relaxed) % kLooksPerQuestion == 0;
    }

 private:
    static constexpr std::uint32_t kLooksPerQuestion = 16, kClaimsAfterPin = 64;
    std::atomic_flag pair_in_use_{};
    bool has_read_ = false;
    std::uint32_t joins_ = 0;
    std::uint64_t read_up_to_ = 0;
    std::atomic<std::uint32_t> pins_{0}, looks_{0};
    std::array<std::atomic<std::uint64_t>, layout::kEndCount> owners_{};
};

// What one claim asks the kernel. Not hard: an end counts as alive unless known to be dead.
struct Asked {
    ClaimMemory& memory;
    bool hard;
    std::array<std::uint8_t, layout::kEndCount> answers;  // 0: not asked, 1: alive
};

}  // namespace ndshare::sync
