// mutation/choice.h: what stands at the mutation points of a mutated copy of src/sync and
// src/layout: the code as it is, unless the number of one of its mutants was chosen.
//
//   NDSHARE_MUTANT=n      the mutant of this process and its children; none when it is not set
//   NDSHARE_MUTANT_HITS=file  gets a byte 1 at n when a point of mutant n is passed
//
// Number 0 is no mutant. What the compiler computes is never mutated. Threads: any.
// Processes: any; both variables are read before main.
#pragma once
#include <atomic>
#include <cstdint>
#include <type_traits>

namespace ndshare::mutant {

extern unsigned chosen;
extern unsigned char* hits;

constexpr bool on(unsigned number) {
    if (std::is_constant_evaluated() || number == 0) return false;
    __atomic_store_n(hits + number, 1, __ATOMIC_RELAXED);
    return number == chosen;
}

// ---- truth --------------------------------------------------------------------------------------
constexpr bool flipped(unsigned number, bool value) { return on(number) != value; }
constexpr bool forced(unsigned to_true, unsigned to_false, bool value) {
    if (on(to_true)) return true;
    return !on(to_false) && value;
}
// An operand of && (neutral: true) or ||, which becomes the other one when all three are flipped.
constexpr bool operand(unsigned other, unsigned dropped, bool neutral, bool value) {
    return flipped(other, on(dropped) ? neutral : value);
}

// ---- comparisons --------------------------------------------------------------------------------
constexpr bool less(unsigned edge, unsigned negated, auto a, auto b) {
    return flipped(negated, on(edge) ? a <= b : a < b);
}
constexpr bool less_equal(unsigned edge, unsigned negated, auto a, auto b) {
    return flipped(negated, on(edge) ? a < b : a <= b);
}
constexpr bool greater(unsigned edge, unsigned negated, auto a, auto b) {
    return flipped(negated, on(edge) ? a >= b : a > b);
}
constexpr bool greater_equal(unsigned edge, unsigned negated, auto a, auto b) {
    return flipped(negated, on(edge) ? a > b : a >= b);
}

// ---- arithmetic ---------------------------------------------------------------------------------
constexpr auto plus(unsigned number, auto a, auto b) { return on(number) ? a - b : a + b; }
constexpr auto minus(unsigned number, auto a, auto b) { return on(number) ? a + b : a - b; }
constexpr auto& add_to(unsigned number, auto& a, auto b) { return on(number) ? a -= b : a += b; }
constexpr auto& take_from(unsigned number, auto& a, auto b) { return on(number) ? a += b : a -= b; }

// ---- orders -------------------------------------------------------------------------------------
// one: the next weaker order; two: a still weaker one, or the other half of acquire and release.
// On a real CPU of this kind a read-modify-write has one order only: it stays as it is.
inline std::memory_order order(unsigned number, std::memory_order as_it_is) {
    return on(number) ? std::memory_order_relaxed : as_it_is;
}
auto load_acquire(unsigned one, unsigned, auto&& ground, const auto& word) {
    return on(one) ? ground.load_relaxed(word) : ground.load_acquire(word);
}
auto load_seq_cst(unsigned one, unsigned two, auto&& ground, const auto& word) {
    if (on(one)) return ground.load_acquire(word);
    return on(two) ? ground.load_relaxed(word) : ground.load_seq_cst(word);
}
void store_release(unsigned one, unsigned, auto&& ground, auto& word, auto value) {
    on(one) ? ground.store_relaxed(word, value) : ground.store_release(word, value);
}
void store_seq_cst(unsigned one, unsigned two, auto&& ground, auto& word, auto value) {
    if (on(one)) return ground.store_release(word, value);
    on(two) ? ground.store_relaxed(word, value) : ground.store_seq_cst(word, value);
}
auto exchange_seq_cst(unsigned one, unsigned two, auto&& ground, auto& word, auto value) {
    if constexpr (requires { ground.exchange_relaxed(word, value); }) {
        if (on(one)) return ground.exchange_acq_rel(word, value);
        if (on(two)) return ground.exchange_relaxed(word, value);
    }
    return ground.exchange_seq_cst(word, value);
}
bool compare_exchange(unsigned one, unsigned two, auto&& ground, auto& word, auto& expected,
                      auto desired) {
    if constexpr (requires { ground.compare_exchange_acquire(word, expected, desired); }) {
        if (on(one)) return ground.compare_exchange_acquire(word, expected, desired);
        if (on(two)) return ground.compare_exchange_release(word, expected, desired);
    }
    return ground.compare_exchange(word, expected, desired);
}
bool compare_exchange_seq_cst(unsigned one, unsigned two, auto&& ground, auto& word, auto& expected,
                              auto desired) {
    if (on(one)) return ground.compare_exchange(word, expected, desired);
    if constexpr (requires { ground.compare_exchange_relaxed(word, expected, desired); }) {
        if (on(two)) return ground.compare_exchange_relaxed(word, expected, desired);
    }
    return ground.compare_exchange_seq_cst(word, expected, desired);
}
void add_seq_cst(unsigned one, unsigned two, auto&& ground, auto& word, auto value) {
    if constexpr (requires { ground.add_relaxed(word, value); }) {
        if (on(one)) return ground.add_acq_rel(word, value);
        if (on(two)) return ground.add_relaxed(word, value);
    }
    ground.add_seq_cst(word, value);
}
void set_bits_seq_cst(unsigned one, unsigned two, auto&& ground, auto& word, auto bits) {
    if constexpr (requires { ground.set_bits_relaxed(word, bits); }) {
        if (on(one)) return ground.set_bits_acq_rel(word, bits);
        if (on(two)) return ground.set_bits_relaxed(word, bits);
    }
    ground.set_bits_seq_cst(word, bits);
}
void clear_bits_seq_cst(unsigned one, unsigned two, auto&& ground, auto& word, auto bits) {
    if constexpr (requires { ground.clear_bits_relaxed(word, bits); }) {
        if (on(one)) return ground.clear_bits_acq_rel(word, bits);
        if (on(two)) return ground.clear_bits_relaxed(word, bits);
    }
    ground.clear_bits_seq_cst(word, bits);
}
void fence_seq_cst(unsigned one, unsigned, auto&& ground) {
    if (!on(one)) return ground.fence_seq_cst();
    ground.fence_acquire();
    ground.fence_release();
}

}  // namespace ndshare::mutant
