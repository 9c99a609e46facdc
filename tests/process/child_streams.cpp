// What the fault walk's child does with a stream; see child.cpp.
#include "child_streams.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "ndshare/ndshare.hpp"

namespace ndshare::test {
namespace {

using namespace std::chrono_literals;

void require(bool good, const char* what) {
    if (good) return;
    std::printf("wrong: %s\n", what);
    std::exit(4);
}

void require_uniform(const Frame& frame) {
    for (const auto value : frame.view<const std::uint64_t, 1>().span()) {
        require(value == frame.view<const std::uint64_t, 1>()(0), "a torn frame");
    }
}

void put(Publisher& publisher, std::uint64_t value) {
    const std::vector<std::uint64_t> values(64, value);
    // Not for ever: whoever is in the way may be a child of ours that a fault has stopped.
    (void)publisher.put_bytes(std::as_bytes(std::span(values)), {.timeout = 5s});
}

PublisherOptions joining(Overflow overflow) {
    return {.shape = {64}, .dtype = "u8", .slots = 4, .overflow = overflow, .shared = true};
}

void publish(const std::string& name) {
    Publisher publisher(name, joining(Overflow::drop_oldest));
    for (std::uint64_t k = 100; k < 106; ++k) put(publisher, k);
    auto loan = publisher.loan();
    for (auto& value : loan.view<std::uint64_t, 1>().span()) value = 7;
    loan.attrs_json("{\"k\":1}");
    loan.publish();
    auto dropped = publisher.loan();
}

void subscribe(const std::string& name) {
    Publisher publisher(name, joining(Overflow::drop_oldest));
    put(publisher, 50);
    Subscriber in_order(name), newest(name, {.latest = true});
    require(in_order.fileno() >= 0, "fileno");
    std::vector<Frame> held;
    for (int k = 0; k < 3; ++k) {
        put(publisher, 60 + static_cast<std::uint64_t>(k));
        if (auto frame = in_order.get(30s)) held.push_back(*frame);
        if (auto frame = newest.get(0s)) require_uniform(*frame);
    }
    for (const Frame& frame : held) {
        require_uniform(frame);
        if (const auto again = frame.ref().get()) require_uniform(*again);
    }
}

void block(const std::string& name) {
    const std::string own = name + "-block";
    Publisher publisher(own,
                        {.shape = {64}, .dtype = "u8", .slots = 2, .overflow = Overflow::block});
    const pid_t reader = fork();
    if (reader == 0) {
        try {
            Subscriber subscriber(own);
            std::uint64_t last = 0;
            for (int k = 0; k < 6; ++k) {
                // The publisher may have been killed: nothing comes then, and nobody says so.
                const auto frame = subscriber.get(2s);
                if (!frame) _exit(3);
                require_uniform(*frame);
                const std::uint64_t value = frame->view<const std::uint64_t, 1>()(0);
                require(last == 0 || value == last + 1, "a block stream lost a frame");
                last = value;
            }
        } catch (const Error&) {
            _exit(3);
        }
        _exit(0);
    }
    (void)publisher.wait_subscribers(1, 5s);
    try {
        for (std::uint64_t k = 1; k < 8; ++k) put(publisher, k);
    } catch (const Error& e) {
        if (e.code() != Errc::timeout) throw;
    }
    publisher.end();
    int status = 0;
    waitpid(reader, &status, 0);
    require(!WIFEXITED(status) || WEXITSTATUS(status) != 4, "the reader met something wrong");
}

void renew(const std::string& name) {
    const std::string own = name + "-renew";
    Subscriber subscriber(own);
    for (std::int64_t size : {64, 32}) {
        Publisher publisher(own, {.shape = {size}, .dtype = "u8", .slots = 3});
        const std::vector<std::uint64_t> values(static_cast<std::size_t>(size), 9);
        publisher.put(std::span<const std::uint64_t>(values));
        if (const auto frame = subscriber.get(30s)) require_uniform(*frame);
    }
}

void fork_with_frames(const std::string& name) {
    Publisher publisher(name, joining(Overflow::drop_oldest));
    Subscriber subscriber(name);
    put(publisher, 70);
    const auto held = subscriber.get(30s);
    if (!held) return;
    const pid_t child = fork();
    for (std::uint64_t k = 71; k < 80; ++k) {
        try {
            put(publisher, k);
            require_uniform(*held);
        } catch (const Error&) {
            if (child == 0) _exit(3);
            throw;
        }
    }
    if (child == 0) _exit(0);
    int status = 0;
    waitpid(child, &status, 0);
    require(!WIFEXITED(status) || WEXITSTATUS(status) != 4, "a frame changed in the child");
}

}  // namespace

const std::map<std::string, std::function<void(const std::string&)>>& stream_scenarios() {
    static const std::map<std::string, std::function<void(const std::string&)>> all{
        {"publish", publish},
        {"subscribe", subscribe},
        {"block", block},
        {"renew", renew},
        {"fork_frames", fork_with_frames}};
    return all;
}

}  // namespace ndshare::test
