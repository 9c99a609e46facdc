// What the C++ face of streams promises where Python's own checks come before it.
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "fault_world.h"

namespace ndshare::test {
namespace {

using namespace std::chrono_literals;

TEST(GetMany, into_too_small_a_destination_loses_no_frame) {
    const FaultWorld world;
    Subscriber subscriber("late");
    std::optional<Publisher> publisher;
    std::thread publishing([&] {
        publisher.emplace(
            "late",
            PublisherOptions{.shape = {4}, .dtype = "u8", .slots = 2, .overflow = Overflow::block});
        ASSERT_TRUE(publisher->wait_subscribers(1, 20s));
        const std::array<std::uint64_t, 4> words{1, 2, 3, 4};
        for (int k = 0; k < 5; ++k) (void)publisher->put_bytes(std::as_bytes(std::span(words)));
    });
    std::array<std::byte, 8> small{};
    for (int k = 0; k < 2; ++k) {
        try {
            (void)subscriber.get_many(small, 1, 20s);
            FAIL() << "the destination was large enough";
        } catch (const Error& e) {
            EXPECT_EQ(e.code(), Errc::invalid_argument) << e.what();
        }
    }
    std::uint64_t last = 0;
    for (int k = 0; k < 5; ++k) {
        const auto frame = subscriber.get(20s);
        ASSERT_TRUE(frame);
        EXPECT_TRUE(last == 0 || frame->seq() == last + 1) << frame->seq() << " after " << last;
        last = frame->seq();
    }
    EXPECT_EQ(subscriber.lost(), 0U);
    publishing.join();
}

}  // namespace
}  // namespace ndshare::test
