// sync/atomics.h: the memory orders this library uses, by name. Nobody else reaches a shared word.
//
//   load_relaxed      may be stale; each use says why that is harmless
//   load_acquire      pairs with a store_release or a seq_cst change, named SYNC(...) at both ends
//   *_seq_cst         both sides of a "store mine, then look at yours" handshake
//   compare_exchange  acquires and releases; on failure the word as it was, acquired
//
// Threads: any. Processes: any that map the word. Blocks: no.
#pragma once
#include <atomic>
#include <cstdint>

#include "layout/word.h"

namespace ndshare::sync {

// The one door into layout's words.
struct WordAccess {
    static std::uint32_t& raw(const layout::Word32& word) {
        return const_cast<layout::Word32&>(word).value_;
    }
    static std::uint64_t& raw(const layout::Word64& word) {
        return const_cast<layout::Word64&>(word).value_;
    }
    // The futex compares 32 bits; the format is little-endian, so the low half comes first.
    static std::uint32_t* futex_word(const layout::Word32& word) { return &raw(word); }
    static std::uint32_t* futex_word(const layout::Word64& word) {
        return reinterpret_cast<std::uint32_t*>(&raw(word));
    }
};

struct Atomics {
    static auto load_relaxed(const auto& word) { return ref(word).load(std::memory_order_relaxed); }
    static auto load_acquire(const auto& word) { return ref(word).load(std::memory_order_acquire); }
    static auto load_seq_cst(const auto& word) { return ref(word).load(std::memory_order_seq_cst); }
    static void store_relaxed(auto& word, auto value) {
        ref(word).store(value, std::memory_order_relaxed);
    }
    static void store_release(auto& word, auto value) {
        ref(word).store(value, std::memory_order_release);
    }
    static void store_seq_cst(auto& word, auto value) {
        ref(word).store(value, std::memory_order_seq_cst);
    }
    static auto exchange_seq_cst(auto& word, auto value) {
        return ref(word).exchange(value, std::memory_order_seq_cst);
    }
    static bool compare_exchange(auto& word, auto& expected, auto desired) {
        return ref(word).compare_exchange_strong(expected, desired, std::memory_order_acq_rel,
                                                 std::memory_order_acquire);
    }
    static bool compare_exchange_seq_cst(auto& word, auto& expected, auto desired) {
        return ref(word).compare_exchange_strong(expected, desired, std::memory_order_seq_cst,
                                                 std::memory_order_seq_cst);
    }
    static void add_seq_cst(auto& word, auto value) {
        ref(word).fetch_add(value, std::memory_order_seq_cst);
    }
    static void set_bits_seq_cst(auto& word, auto bits) {
        ref(word).fetch_or(bits, std::memory_order_seq_cst);
    }
    static void clear_bits_seq_cst(auto& word, auto bits) {
        ref(word).fetch_and(~bits, std::memory_order_seq_cst);
    }
    static void fence_seq_cst() { std::atomic_thread_fence(std::memory_order_seq_cst); }
    static void fence_acquire() { std::atomic_thread_fence(std::memory_order_acquire); }
    static void fence_release() { std::atomic_thread_fence(std::memory_order_release); }

 private:
    static auto ref(const auto& word) { return std::atomic_ref(WordAccess::raw(word)); }
};

}  // namespace ndshare::sync
