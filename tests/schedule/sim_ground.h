// schedule/sim_ground.h: the ground of sync/ground.h, member by member, on a World. The templates
// of sync/ run on it unchanged. A canary derives from it and breaks one member. Threads: one.
#pragma once
#include <type_traits>

#include "schedule/world.h"
#include "sync/owner.h"

namespace ndshare::schedule {

class SimGround {
 public:
    SimGround(World& world, std::size_t own_row) : world_(&world), own_row_(own_row) {}

    template <class Word>
    using Number =
        std::conditional_t<sizeof(Word) == sizeof(std::uint32_t), std::uint32_t, std::uint64_t>;

    template <class Word>
    auto load_relaxed(const Word& word) const {
        return load(word, Order::relaxed);
    }
    template <class Word>
    auto load_acquire(const Word& word) const {
        return load(word, Order::acquire);
    }
    template <class Word>
    auto load_seq_cst(const Word& word) const {
        return load(word, Order::seq_cst);
    }
    template <class Word>
    void store_relaxed(Word& word, std::type_identity_t<Number<Word>> value) {
        world_->store(&word, sizeof word, Order::relaxed, value);
    }
    template <class Word>
    void store_release(Word& word, std::type_identity_t<Number<Word>> value) {
        world_->store(&word, sizeof word, Order::release, value);
    }
    template <class Word>
    void store_seq_cst(Word& word, std::type_identity_t<Number<Word>> value) {
        world_->store(&word, sizeof word, Order::seq_cst, value);
    }
    template <class Word>
    auto exchange_seq_cst(Word& word, std::type_identity_t<Number<Word>> value) {
        return exchange(word, value, Order::seq_cst);
    }
    template <class Word>
    bool compare_exchange(Word& word, Number<Word>& expected,
                          std::type_identity_t<Number<Word>> desired) {
        return exchange_if(word, expected, desired, Order::acq_rel);
    }
    template <class Word>
    bool compare_exchange_seq_cst(Word& word, Number<Word>& expected,
                                  std::type_identity_t<Number<Word>> desired) {
        return exchange_if(word, expected, desired, Order::seq_cst);
    }
    template <class Word>
    void add_seq_cst(Word& word, std::type_identity_t<Number<Word>> value) {
        auto seen = load_seq_cst(word);
        while (!compare_exchange_seq_cst(word, seen, static_cast<Number<Word>>(seen + value))) {
        }
    }
    void set_bits_seq_cst(auto& word, std::uint64_t bits) {
        auto seen = load_seq_cst(word);
        while (!compare_exchange_seq_cst(word, seen, seen | bits)) {
        }
    }
    void clear_bits_seq_cst(auto& word, std::uint64_t bits) {
        auto seen = load_seq_cst(word);
        while (!compare_exchange_seq_cst(word, seen, seen & ~bits)) {
        }
    }
    void fence_seq_cst() const { world_->fence(Order::seq_cst); }
    void fence_acquire() const { world_->fence(Order::acquire); }
    void fence_release() const { world_->fence(Order::release); }

    // ---- weaker than any that src/sync has: for mutants -----------------------------------------
    auto exchange_acq_rel(auto& word, auto value) { return exchange(word, value, Order::acq_rel); }
    auto exchange_relaxed(auto& word, auto value) { return exchange(word, value, Order::relaxed); }
    template <class Word>
    bool compare_exchange_acquire(Word& word, Number<Word>& expected, Number<Word> desired) {
        return exchange_if(word, expected, desired, Order::acquire);
    }
    template <class Word>
    bool compare_exchange_release(Word& word, Number<Word>& expected, Number<Word> desired) {
        return exchange_if(word, expected, desired, Order::release);
    }
    template <class Word>
    bool compare_exchange_relaxed(Word& word, Number<Word>& expected, Number<Word> desired) {
        return exchange_if(word, expected, desired, Order::relaxed);
    }
    void add_acq_rel(auto& word, auto value) { add(word, value, Order::acq_rel); }
    void add_relaxed(auto& word, auto value) { add(word, value, Order::relaxed); }
    void set_bits_acq_rel(auto& word, auto bits) { set(word, bits, Order::acq_rel); }
    void set_bits_relaxed(auto& word, auto bits) { set(word, bits, Order::relaxed); }
    void clear_bits_acq_rel(auto& word, auto bits) { clear(word, bits, Order::acq_rel); }
    void clear_bits_relaxed(auto& word, auto bits) { clear(word, bits, Order::relaxed); }

    // As sync::Ground::owner_is_alive.
    bool owner_is_alive(std::uint64_t owner) const {
        const std::size_t row = sync::row_of(owner);
        const std::uint64_t epoch = load_acquire(world_->control().row(row).epoch);
        if (sync::owner_of(owner) != sync::owner_word(row, epoch)) return false;
        return row == own_row_ || world_->row_is_locked(row);
    }
    void sleep(const auto& word, std::uint32_t expected, std::int64_t ns) const {
        world_->sleep(&word, expected, ns);
    }
    void wake_all(auto& word) const { world_->wake_all(&word); }
    void wake_one(auto& word) const { world_->wake_one(&word); }
    bool ring(std::uint32_t pid, std::uint32_t fd, std::uint64_t inode) const {
        return world_->ring(pid, fd, inode);
    }

 protected:
    World& world() const { return *world_; }
    std::size_t own_row() const { return own_row_; }

 private:
    template <class Word>
    Number<Word> load(const Word& word, Order order) const {
        return static_cast<Number<Word>>(world_->load(&word, sizeof word, order));
    }
    template <class Word>
    Number<Word> exchange(Word& word, Number<Word> value, Order order) {
        return static_cast<Number<Word>>(world_->exchange(&word, sizeof word, value, order));
    }
    void add(auto& word, std::uint64_t value, Order order) {
        auto seen = load(word, order);
        while (!exchange_if(word, seen, static_cast<decltype(seen)>(seen + value), order)) {
        }
    }
    void set(auto& word, std::uint64_t bits, Order order) {
        auto seen = load(word, order);
        while (!exchange_if(word, seen, seen | bits, order)) {
        }
    }
    void clear(auto& word, std::uint64_t bits, Order order) {
        auto seen = load(word, order);
        while (!exchange_if(word, seen, seen & ~bits, order)) {
        }
    }
    template <class Word>
    bool exchange_if(Word& word, Number<Word>& expected, Number<Word> desired, Order order) {
        std::uint64_t wide = expected;
        const bool done = world_->compare_exchange(&word, sizeof word, wide, desired, order);
        expected = static_cast<Number<Word>>(wide);
        return done;
    }
    World* world_;
    std::size_t own_row_;
};

}  // namespace ndshare::schedule
