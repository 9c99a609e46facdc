// sync/claim_memory.h: what a publisher remembers between claims, so that it need not look at every
// end each time. Private to a process.
// Threads: any. Relaxed throughout: what is missed is looked up again. Blocks: no.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>

#include "layout/stream.h"
#include "sync/slot_words.h"

namespace ndshare::sync {

class ClaimMemory {
 public:
    // ---- what every in-order end has read, as long as nobody joined or left
    // ----------------------
    bool was_read(std::uint64_t seq, std::uint32_t joins) const noexcept {
        const std::uint64_t read = read_up_to_.load(std::memory_order_relaxed);
        return joins_.load(std::memory_order_relaxed) == joins && has_read_ &&
               seq_distance(seq, read) <= 0;
    }
    // Two threads of one handle may mix a number with another count: both are from before, and
    // cursors only move on, so the mixture says too little or names a count that has passed.
    void note_read(std::uint64_t seq, std::uint32_t joins) noexcept {
        has_read_.store(false, std::memory_order_seq_cst);
        joins_.store(joins, std::memory_order_seq_cst);
        read_up_to_.store(seq, std::memory_order_seq_cst);
        has_read_.store(true, std::memory_order_seq_cst);
    }
    // ---- whether pins were met lately: then the bits are looked at before a slot is made BUSY
    // ----
    bool expects_pins() const noexcept { return pins_.load(std::memory_order_relaxed) > 0; }
    void met_pin() noexcept { pins_.store(kClaimsAfterPin, std::memory_order_relaxed); }
    void met_none() noexcept {
        const std::uint32_t left = pins_.load(std::memory_order_relaxed);
        if (left > 0) pins_.store(left - 1, std::memory_order_relaxed);
    }
    // ---- owner words that the kernel has called dead: they stay so
    // -------------------------------
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
    std::atomic<std::uint64_t> read_up_to_{0};
    std::atomic<std::uint32_t> joins_{0}, pins_{0};
    std::atomic<bool> has_read_{false};
    std::atomic<std::uint32_t> looks_{0};
    std::array<std::atomic<std::uint64_t>, layout::kEndCount> owners_{};
};

// What one claim asks the kernel. Not hard: an end counts as alive unless known to be dead.
struct Asked {
    ClaimMemory& memory;
    bool hard;
    std::array<std::uint8_t, layout::kEndCount> answers;  // 0: not asked, 1: alive
};

}  // namespace ndshare::sync
