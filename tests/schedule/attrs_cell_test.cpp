// Attributes: a reader gets the old text or the new one, whole, and a killed writer leaves the old.
//
// Texts prove themselves: number n is n + 1 times the same letter. The bytes of a text are copied
// in one step here; its length, the count and everything between them are steps of their own. Under
// weak memory only the length counts: it is ordered as the bytes are, which no simulation sees.
#include <map>
#include <memory>
#include <string>

#include "schedule/explore.h"
#include "schedule/sim_ground.h"
#include "sync/attrs_cell.h"
#include "sync/patience.h"
#include "sync/write_lock.h"

namespace ndshare::schedule {
namespace {

std::string text_of(std::uint64_t number) {
    return std::string(number + 1, static_cast<char>('a' + number % 26));
}

// Which text each count stands for, and how many were begun.
struct Texts {
    std::map<std::uint64_t, std::uint64_t> number_of_count;
    std::uint64_t begun = 0;
};

template <class Ground>
void write_often(World& world, Texts& texts, Process& who, int times) {
    Ground ground(world, who.row);
    sync::SpinBudget spin(0);
    sync::Patience patience(platform::kForeverNs, spin);
    sync::WriteLock lock(world.control().words().attrs_lock, ground);
    sync::AttrsCell cell(world.control(), ground);
    for (int k = 0; k < times; ++k) {
        world.require(lock.acquire(who.owner, patience), "a lock without a timeout timed out");
        const std::uint64_t number = ++texts.begun;
        texts.number_of_count[world.last(world.control().words().attrs) + 1] = number;
        cell.write(text_of(number));
        lock.release(who.owner);
    }
}

template <class Ground>
void read_often(World& world, const Texts& texts, Process& who, int times, bool weak) {
    Ground ground(world, who.row);
    const sync::AttrsCell cell(world.control(), ground);
    std::uint64_t oldest = 0;
    for (int k = 0; k < times; ++k) {
        const std::uint64_t begin = world.last(world.control().words().attrs);
        const std::string text = cell.read();
        const std::uint64_t end = world.last(world.control().words().attrs);
        std::uint64_t count = 0;
        bool known = text.empty();
        for (const auto& [its_count, number] : texts.number_of_count) {
            const bool same = weak ? text.size() == number + 1 : text == text_of(number);
            if (its_count > end || !same) continue;
            count = its_count;
            known = true;
        }
        world.require(known, "a text was read that never was one, or is none yet");
        world.require(count >= oldest && (weak || count >= begin), "an older text was read");
        oldest = count;
    }
}

template <class Ground>
Setup writers_and_readers(int lives, bool weak = false) {
    return [=](World& world) {
        auto texts = std::make_shared<Texts>();
        for (std::size_t row = 0; row < 2; ++row) {
            world.spawn(
                {.name = "writer", .row = row, .lives = lives},
                [&world, texts](Process& who) { write_often<Ground>(world, *texts, who, 3); });
        }
        for (std::size_t row = 2; row < 4; ++row) {
            world.spawn({.name = "reader", .row = row}, [&world, texts, weak](Process& who) {
                read_often<Ground>(world, *texts, who, 4, weak);
            });
        }
    };
}

TEST(AttrsCell, readers_see_a_whole_text) {
    EXPECT_TRUE(holds(explore({}, 12000, writers_and_readers<SimGround>(1))));
}

TEST(AttrsCell, killed_writers_leave_the_old_text) {
    const Plan plan{.slices = Slices::any_time, .kills = 3};
    EXPECT_TRUE(holds(explore(plan, 24000, writers_and_readers<SimGround>(3))));
}

TEST(AttrsCell, readers_see_a_whole_text_under_weak_memory) {
    const Plan plan{.slices = Slices::any_time, .kills = 2, .weak_memory = true};
    EXPECT_TRUE(holds(explore(plan, 24000, writers_and_readers<SimGround>(2, true))));
}

TEST(AttrsCell, an_impossible_length_is_corrupt_bytes) {
    const auto setup = [](World& world) {
        auto& words = world.control().words();
        world.set_initial(words.attrs, 2);
        world.set_initial(words.attrs_bytes[0], layout::kAttrsCapacityBytes + 1);
        world.spawn({.name = "reader"}, [&world](Process& who) {
            SimGround ground(world, who.row);
            try {
                (void)sync::AttrsCell(world.control(), ground).read();
                world.violate("a length beyond the capacity was accepted");
            } catch (const CorruptBytes&) {
            }
        });
    };
    EXPECT_TRUE(holds(explore({}, 1, setup)));
}

// ---- canaries -----------------------------------------------------------------------------------

// The writer puts its text where the old one stands.
struct WritesInPlace : SimGround {
    using SimGround::SimGround;
    template <class Word>
    void store_relaxed(Word& word, std::type_identity_t<Number<Word>> value) {
        auto& bytes = world().control().words().attrs_bytes;
        const bool first = static_cast<const void*>(&word) == &bytes[0];
        SimGround::store_relaxed(first ? bytes[1] : bytes[0], value);
    }
};
TEST(AttrsCellCanary, a_length_in_the_place_that_is_read_is_caught) {
    EXPECT_TRUE(
        is_caught(hunt({}, 2000, writers_and_readers<WritesInPlace>(1)), "a text was read"));
}

// The reader does not look at the count again.
struct TrustsItsFirstLook : SimGround {
    using SimGround::SimGround;
    template <class Word>
    auto load_acquire(const Word& word) {
        const auto value = SimGround::load_acquire(word);
        if (&word == static_cast<const void*>(&world().control().words().attrs)) first_ = value;
        return value;
    }
    template <class Word>
    auto load_relaxed(const Word& word) {
        const auto value = SimGround::load_relaxed(word);
        const bool again = static_cast<const void*>(&word) == &world().control().words().attrs;
        return again && own_row() >= 2 ? static_cast<Number<Word>>(first_) : value;
    }
    std::uint64_t first_ = 0;
};
TEST(AttrsCellCanary, a_reader_that_does_not_look_again_is_caught) {
    EXPECT_TRUE(
        is_caught(hunt({}, 4000, writers_and_readers<TrustsItsFirstLook>(1)), "text was read"));
}

struct ForgetsReleaseFence : SimGround {
    using SimGround::SimGround;
    void fence_release() const {}
};
TEST(AttrsCellCanary, a_missing_release_fence_is_caught_under_weak_memory) {
    EXPECT_TRUE(is_caught(
        hunt({.weak_memory = true}, 8000, writers_and_readers<ForgetsReleaseFence>(1, true)),
        "text was read"));
}

struct ForgetsAcquireFence : SimGround {
    using SimGround::SimGround;
    void fence_acquire() const {}
};
TEST(AttrsCellCanary, a_missing_acquire_fence_is_caught_under_weak_memory) {
    EXPECT_TRUE(is_caught(
        hunt({.weak_memory = true}, 8000, writers_and_readers<ForgetsAcquireFence>(1, true)),
        "text was read"));
}

// The count goes up without handing the text over.
struct RelaxedCount : SimGround {
    using SimGround::SimGround;
    template <class Word>
    void store_release(Word& word, std::type_identity_t<Number<Word>> value) {
        SimGround::store_relaxed(word, value);
    }
};
TEST(AttrsCellCanary, a_relaxed_count_is_caught_under_weak_memory) {
    EXPECT_TRUE(
        is_caught(hunt({.weak_memory = true}, 8000, writers_and_readers<RelaxedCount>(1, true)),
                  "text was read"));
}

}  // namespace
}  // namespace ndshare::schedule
