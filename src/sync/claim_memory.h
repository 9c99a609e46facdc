// sync/claim_memory.h: what a publisher remembers between claims, so that it need not look at every
// end each time. Private to a process.
// Threads: any. Relaxed, where nothing else is said: what is missed is looked up again. Blocks: no.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>

#include "layout/stream.h"
#include "sync/slot_words.h"

namespace ndshare::sync {

class ClaimMemory {
 public:
    // ---- up to which frame nobody needs any, while nobody joins or leaves ---------------------
    // A number that two threads of a handle mixed with the count of another look could let go of
    // frames that are needed. So the count lies beside the low half of its number: halves that
    // differ are a mixture, and whoever meets one looks for himself. (Numbers with the same low
    // half are the same, or 2^32 frames apart: no frame that was needed at one look is older than
    // what was unneeded at the other, unless it was held, by number, for as long.)
    bool is_unneeded(std::uint64_t seq, std::uint32_t joins) const noexcept {
        // SYNC(unneeded): what the thread that looked has seen, the end of the readers' reads too.
        const std::uint64_t count = joins_of_unneeded_.load(std::memory_order_acquire);
        const std::uint64_t up_to = unneeded_up_to_.load(std::memory_order_relaxed);  // see above
        return count == with_low_half(joins, up_to) && seq_distance(seq, up_to) <= 0;
    }
    void note_unneeded(std::uint64_t seq, std::uint32_t joins) noexcept {
        unneeded_up_to_.store(seq, std::memory_order_relaxed);  // see above
        // SYNC(unneeded): after the looks at cursors and pins.
        joins_of_unneeded_.store(with_low_half(joins, seq), std::memory_order_release);
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
    static constexpr std::uint32_t kLooksPerQuestion = 16;
    static std::uint64_t with_low_half(std::uint32_t joins, std::uint64_t seq) noexcept {
        return std::uint64_t{joins} << 32 | (seq & 0xffff'ffff);
    }
    // A mixture: nothing is known.
    std::atomic<std::uint64_t> unneeded_up_to_{0}, joins_of_unneeded_{1};
    std::atomic<std::uint32_t> looks_{0};
    std::array<std::atomic<std::uint64_t>, layout::kEndCount> owners_{};
};

// What one claim asks the kernel. Not hard: an end counts as alive unless known to be dead.
class Asked {
 public:
    Asked(ClaimMemory& known, bool may_ask) : memory(known) {
        if (may_ask) ask();
    }
    ClaimMemory& memory;
    bool hard() const noexcept { return hard_; }
    void ask() noexcept {
        hard_ = true;
        is_alive_.fill(false);
    }
    bool& is_alive(std::size_t end) noexcept { return is_alive_[end]; }  // REQUIRES: hard()

 private:
    bool hard_ = false;
    std::array<bool, layout::kEndCount>
        is_alive_;  // asked already; unset, as most claims never ask
};

}  // namespace ndshare::sync
