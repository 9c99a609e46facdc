// schedule/memory.h: shared words as the C++ memory model lets processes see them.
//
// Sequential: every load sees the last store. Weak: each word keeps all its values in their
// modification order, and a process may read any that is not older than what it must know of. What
// it must know is a view, one place in the order for each word, and travels as C++20 [intro.races]
// says: with release stores and acquire loads, release fences before relaxed stores, relaxed loads
// before acquire fences, and through read-modify-writes, which always read the last value. Words
// accessed seq_cst also keep the single total order S, which is the order of execution.
// This finds missing orders that x86 forgives. It finds no load that sees a later store (out of
// thin air and load buffering): nothing here is written on the strength of such a load. Source:
// Kang, Hur, Lahav, Vafeiadis, Dreyer, "A promising semantics", POPL 2017, without promises.
// Threads: one.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "schedule/choices.h"

namespace ndshare::schedule {

enum class Order { relaxed, acquire, release, acq_rel, seq_cst };

constexpr bool acquires(Order order) { return order == Order::acquire || order >= Order::acq_rel; }
constexpr bool releases(Order order) { return order >= Order::release; }

inline constexpr std::size_t kWordsMax = 96;

struct View {
    std::array<std::uint16_t, kWordsMax> at{};
    void join(const View& other) {
        for (std::size_t k = 0; k < kWordsMax; ++k) at[k] = std::max(at[k], other.at[k]);
    }
};

// What one process must see, would see after an acquire fence, and lets others see since its last
// release fence.
struct Knowledge {
    View now, after_fence, at_fence;
};

class Memory {
 public:
    // [base, base + bytes) holds the words and is zero.
    Memory(std::byte* base, std::size_t bytes) : base_(base), index_of_(bytes / 4, 0) {}
    void reset(bool weak);

    void set_initial(void* word, std::size_t bytes, std::uint64_t value) {
        set(word, bytes, value);
        (void)find(word, bytes);
    }
    static std::uint64_t last(const void* word, std::size_t bytes) {
        std::uint64_t value = 0;
        std::memcpy(&value, word, bytes);
        return value;
    }
    std::uint64_t load(Knowledge& who, void* word, std::size_t bytes, Order order,
                       Choices& choices);
    void store(Knowledge& who, void* word, std::size_t bytes, Order order, std::uint64_t value);
    std::uint64_t exchange(Knowledge& who, void* word, std::size_t bytes, std::uint64_t value,
                           Order order);
    // As Atomics::compare_exchange, with any order. A failed one may have read an older value.
    bool compare_exchange(Knowledge& who, void* word, std::size_t bytes, std::uint64_t& expected,
                          std::uint64_t desired, Choices& choices, Order order);
    void fence(Knowledge& who, Order order);
    // Of the words, by their addresses: when they were touched first does not matter.
    std::uint64_t hash() const;
    // Of what a process knows; 0 unless weak.
    std::uint64_t hash(const Knowledge& who) const;

 private:
    std::uint64_t observe(Knowledge& who, std::size_t index, std::size_t read, Order order);
    struct Value {
        std::uint64_t value;
        View view;  // what a reader that acquires it must see
    };
    struct Word {
        const void* at = nullptr;
        std::size_t bytes = 0;
        std::uint16_t last_seq_cst = 0;
        std::vector<Value> values;
    };
    std::size_t find(const void* word, std::size_t bytes);
    std::uint64_t hash_view(const View& view) const;
    void set(void* word, std::size_t bytes, std::uint64_t value) {
        std::memcpy(word, &value, bytes);
    }
    void append(Knowledge& who, std::size_t index, void* word, std::uint64_t value, bool release,
                const View* inherited);

    std::byte* base_;
    bool weak_ = false;
    std::vector<std::uint8_t> index_of_;  // 0: none yet, else index + 1
    std::array<Word, kWordsMax> words_;
    std::size_t count_ = 0;
    View at_seq_cst_fences_;
};

}  // namespace ndshare::schedule
