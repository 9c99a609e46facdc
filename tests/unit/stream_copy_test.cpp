// Which way of copying is chosen, and that each copies every byte and no other.
#include "platform/stream_copy.h"

#include <gtest/gtest.h>

#include <vector>

#include "platform/copy_choice.h"

namespace ndshare::platform {
namespace {

// Two ways of copying that cost this much, on a machine of the test's own.
class Machine {
 public:
    explicit Machine(bool is_past) : choice_(is_past) {}
    double price_through = 1, price_past = 1;  // ns a byte

    // Copies count times kCopy bytes; a run is kCopiesOfRun of them. How many went past the cache?
    int copy(int count) {
        int past = 0;
        for (int k = 0; k < count; ++k) {
            const bool is_past = choice_.is_past();
            past += is_past ? 1 : 0;
            const double price = choice_.is_measuring() ? is_past ? price_past : price_through : 0;
            choice_.note(kCopy, static_cast<std::int64_t>(price * kCopy), kCopiesOfRun * kCopy);
        }
        return past;
    }
    CopyChoice& choice() { return choice_; }
    static constexpr int kCopiesOfRun = 8;

 private:
    static constexpr std::size_t kCopy = 1'000'000;
    CopyChoice choice_;
};

// A rest, one run of the way in use, two of the other.
constexpr int kFirstTrial = 4 * Machine::kCopiesOfRun;

TEST(CopyChoice, takes_the_cheaper_way_after_one_trial) {
    for (const bool begins_past : {false, true}) {
        for (const bool past_is_cheaper : {false, true}) {
            Machine machine(begins_past);
            (past_is_cheaper ? machine.price_through : machine.price_past) = 1.5;
            machine.copy(kFirstTrial);
            EXPECT_EQ(machine.choice().is_past(), past_is_cheaper);
            EXPECT_EQ(machine.copy(10), past_is_cheaper ? 10 : 0);
        }
    }
}
TEST(CopyChoice, what_is_no_cheaper_than_noise_changes_nothing) {
    for (const bool begins_past : {false, true}) {
        Machine machine(begins_past);
        (begins_past ? machine.price_past : machine.price_through) = 1.04;
        machine.copy(kFirstTrial);
        EXPECT_EQ(machine.choice().is_past(), begins_past);
    }
}
TEST(CopyChoice, measures_both_ways_after_a_run_of_the_same_and_nothing_else) {
    Machine machine(true);
    constexpr std::size_t kRun = Machine::kCopiesOfRun;
    std::vector<bool> is_measuring, is_past;
    for (int k = 0; k < kFirstTrial; ++k) {
        is_measuring.push_back(machine.choice().is_measuring());
        is_past.push_back(machine.choice().is_past());
        machine.copy(1);
    }
    for (std::size_t k = 0; k < kFirstTrial; ++k) {
        EXPECT_EQ(is_measuring[k], k / kRun == 1 || k / kRun == 3) << k;
        EXPECT_EQ(is_past[k], k < 2 * kRun) << k;
    }
}
TEST(CopyChoice, notices_that_the_machine_has_changed) {
    Machine machine(true);
    machine.price_through = 2;
    machine.copy(100'000);
    ASSERT_TRUE(machine.choice().is_past());
    machine.price_through = 0.5;
    // A trial that may be under way, its longest rest, and a trial.
    machine.copy((3 + CopyChoice::kRestsMax + 3) * Machine::kCopiesOfRun);
    EXPECT_FALSE(machine.choice().is_past());
}
TEST(CopyChoice, trials_that_change_nothing_become_rare) {
    Machine machine(true);
    machine.price_through = 2;
    machine.copy(1'000'000);
    constexpr int kCount = 100'000;
    const int tried = kCount - machine.copy(kCount);
    EXPECT_GT(tried, 0);
    EXPECT_LT(tried, kCount / 200);
}
TEST(CopyChoice, one_who_is_interrupted_has_not_copied_slowly) {
    Machine machine(true);
    machine.price_through = 1.5;
    machine.copy(Machine::kCopiesOfRun + 2);  // the rest, and two that count
    machine.price_past = 1000;
    machine.copy(1);
    machine.price_past = 1;
    machine.copy(kFirstTrial - Machine::kCopiesOfRun - 3);
    EXPECT_TRUE(machine.choice().is_past());
}
TEST(CopyChoice, a_price_is_that_of_all_copies_of_its_run) {
    // As a process that writes and reads: each other copy is a cheap one.
    Machine machine(true);
    for (int k = 0; k < kFirstTrial; ++k) {
        machine.price_past = k % 2 == 0 ? 0.8 : 1.4;
        machine.price_through = k % 2 == 0 ? 0.9 : 1.0;
        machine.copy(1);
    }
    EXPECT_FALSE(machine.choice().is_past());
}

constexpr std::size_t kLarge = std::size_t{1} << 20, kWorkingSet = std::size_t{20} << 20;

TEST(StreamCopy, copies_all_bytes_and_no_other_whichever_way_it_takes) {
    std::vector<std::byte> in(kLarge + 256), out(kLarge + 256);
    for (std::size_t k = 0; k < in.size(); ++k) in[k] = static_cast<std::byte>(k * 167 / 64 + k);
    const auto clean = static_cast<std::byte>(0x5a);
    // So many that both ways had their turn, from and to all kinds of addresses.
    for (std::size_t k = 0; k < 100; ++k) {
        const std::size_t from = k * 7 % 64, to = k * 13 % 128, bytes = kLarge - k * 211;
        std::fill(out.begin(), out.end(), clean);
        stream_copy(out.data() + to, in.data() + from, bytes, kWorkingSet);
        ASSERT_TRUE(std::equal(out.begin() + static_cast<std::ptrdiff_t>(to),
                               out.begin() + static_cast<std::ptrdiff_t>(to + bytes),
                               in.begin() + static_cast<std::ptrdiff_t>(from)))
            << k;
        ASSERT_EQ(static_cast<std::size_t>(std::count(out.begin(), out.end(), clean)),
                  out.size() - bytes +
                      static_cast<std::size_t>(std::count(
                          in.begin() + static_cast<std::ptrdiff_t>(from),
                          in.begin() + static_cast<std::ptrdiff_t>(from + bytes), clean)))
            << k;
    }
}
TEST(StreamCopy, pieces_make_a_whole) {
    std::vector<std::byte> in(kLarge), out(kLarge);
    for (std::size_t k = 0; k < in.size(); ++k) in[k] = static_cast<std::byte>(k % 251);
    for (int k = 0; k < 100; ++k) {
        std::fill(out.begin(), out.end(), std::byte{});
        StreamCopy copy(kLarge, kWorkingSet);
        constexpr std::size_t kPiece = 100'003;
        for (std::size_t at = 0; at < kLarge; at += kPiece) {
            copy.piece(out.data() + at, in.data() + at, std::min(kPiece, kLarge - at));
        }
        copy.finish(out.data());
        ASSERT_EQ(in, out);
    }
}
TEST(StreamCopy, one_that_is_given_up_leaves_the_next_one_free_to_learn) {
    std::vector<std::byte> in(kLarge), out(kLarge);
    for (int k = 0; k < 3; ++k) {
        StreamCopy copy(kLarge, kWorkingSet);
        copy.piece(out.data(), in.data(), kLarge / 2);
    }
    // Two at a time, as threads do: only one learns.
    StreamCopy first(kLarge, kWorkingSet), second(kLarge, kWorkingSet);
    second.piece(out.data(), in.data(), kLarge);
    second.finish(out.data());
    first.piece(out.data(), in.data(), kLarge);
    first.finish(out.data());
    EXPECT_EQ(in, out);
}

}  // namespace
}  // namespace ndshare::platform
