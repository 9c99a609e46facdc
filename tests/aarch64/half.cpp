// One half of a pair of processes, of which one runs on another kind of processor: they share an
// array, a stream and a service, and each checks every word of what the other made.
//
//   half ROLE NAME        ends with 0 when all was right; tests/aarch64/pairs.sh has the pairs
#include <ndshare/ndshare.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using Words = std::vector<std::uint64_t>;

constexpr std::int64_t kWordCount = 4096;
constexpr std::uint64_t kTurns = 200, kFrames = 500, kCalls = 200;
constexpr auto kWatchdog = 60s;

const ndshare::Spec& words_spec() {
    static const ndshare::Spec spec{.shape = {kWordCount},
                                    .dtype = ndshare::Dtype::of<std::uint64_t>()};
    return spec;
}

std::uint64_t word_of(std::uint64_t turn, std::uint64_t k) {
    return (turn << 32 | k) * 0x9e37'79b9'7f4a'7c15;
}
void fill(std::span<std::uint64_t> words, std::uint64_t turn) {
    for (std::size_t k = 0; k < words.size(); ++k) words[k] = word_of(turn, k);
}
void require(bool good, const char* what) {
    if (!good) throw std::runtime_error(what);
}
void check(std::span<const std::uint64_t> words, std::uint64_t turn) {
    for (std::size_t k = 0; k < words.size(); ++k) {
        require(words[k] == word_of(turn, k), "a word is not what the other half wrote");
    }
}

// ---- an array: each writes every other turn and sleeps until the other has ------------------

void take_turns(ndshare::Array& array, std::uint64_t mine) {
    Words words(kWordCount);
    for (std::uint64_t turn = 1; turn <= kTurns; ++turn) {
        if (turn % 2 == mine) {
            fill(words, turn);
            array.assign<std::uint64_t>(words);
            continue;
        }
        require(array.wait(kWatchdog, turn - 1) == turn, "no turn came");
        require(array.read(std::as_writable_bytes(std::span(words)), kWatchdog), "no copy came");
        check(words, turn);
    }
}
void first(const std::string& name) {
    ndshare::Array array =
        ndshare::Array::create(name, words_spec(), {.attrs_json = R"({"unit": "m"})"});
    take_turns(array, 1);
}
void second(const std::string& name) {
    ndshare::Array array = ndshare::Array::open(
        name, {.writeable = true, .expect = words_spec(), .timeout = kWatchdog});
    require(array.attrs_json().find("\"m\"") != std::string::npos, "other attributes");
    take_turns(array, 0);
}

// ---- a writer that is killed in the middle ----------------------------------------------------

void die_writing(const std::string& name) {
    ndshare::Array array = ndshare::Array::open(name, {.writeable = true, .timeout = kWatchdog});
    auto write = array.write(kWatchdog);
    require(write.has_value(), "no turn to write");
    fill(write->view<std::uint64_t, 1>().span().first(kWordCount / 2), 1);
    (void)std::raise(SIGKILL);
}
void heal(const std::string& name) {
    ndshare::Array array = ndshare::Array::create(name, words_spec());
    try {
        (void)array.wait(kWatchdog);
        require(false, "the death of a writer was not told");
    } catch (const ndshare::Error& error) {
        if (error.code() != ndshare::Errc::incomplete_write) throw;
    }
    Words words(kWordCount);
    fill(words, 2);
    array.assign<std::uint64_t>(words);
    check(array.view<const std::uint64_t, 1>().span(), 2);
}

// ---- a stream in which nothing may be lost ----------------------------------------------------

void publish_with(const std::string& name, std::uint64_t lie_at) {
    ndshare::Publisher publisher(name, {.shape = {kWordCount},
                                        .dtype = ndshare::Dtype::of<std::uint64_t>(),
                                        .slots = 4,
                                        .overflow = ndshare::Overflow::block});
    require(publisher.wait_subscribers(1, kWatchdog), "nobody subscribes");
    for (std::uint64_t turn = 1; turn <= kFrames; ++turn) {
        std::optional<ndshare::Loan> loan = publisher.loan(kWatchdog);
        require(loan.has_value(), "no slot came");
        const auto words = loan->view<std::uint64_t, 1>();
        fill(words.span(), turn);
        if (turn == lie_at) words(kWordCount - 1) ^= 1;
        loan->publish();
    }
    publisher.end();
}
void publish(const std::string& name) { publish_with(name, 0); }
void lie(const std::string& name) { publish_with(name, kFrames / 2); }
void subscribe(const std::string& name) {
    ndshare::Subscriber subscriber(name);
    std::uint64_t turn = 0;
    for (const ndshare::Frame& frame : subscriber) {
        check(frame.view<const std::uint64_t, 1>().span(), ++turn);
    }
    require(turn == kFrames && subscriber.lost() == 0, "frames are missing");
}
// Is killed with a frame in its hands; the publisher must not wait for it.
void die_reading(const std::string& name) {
    ndshare::Subscriber subscriber(name);
    const auto frame = subscriber.get(kWatchdog);
    require(frame.has_value(), "no frame came");
    (void)std::raise(SIGKILL);
}

// ---- a service --------------------------------------------------------------------------------

ndshare::Fields one_field(const char* name) { return {{name, words_spec()}}; }
void work(const std::string& name) {
    ndshare::Worker worker(name, one_field("asked"), one_field("answer"), {.slots = 4});
    for (std::uint64_t answered = 0; answered < kCalls;) {
        auto batch = worker.get({.max_batch_size = 4}, kWatchdog);
        require(batch.has_value(), "nobody asks");
        const auto asked = batch->input<const std::uint64_t, 2>();
        const auto answer = batch->output<std::uint64_t, 2>();
        std::transform(asked.span().begin(), asked.span().end(), answer.span().begin(),
                       std::negate<>());
        answered += batch->size();
        batch->reply();
    }
    // The last answers are read from this memory.
    while (worker.client_count() > 0) std::this_thread::sleep_for(1ms);
}
// Is killed with a call in its hands; another one has to answer it.
void die_working(const std::string& name) {
    ndshare::Worker worker(name, one_field("asked"), one_field("answer"), {.slots = 4});
    const auto batch = worker.get({}, kWatchdog);
    require(batch.has_value(), "nobody asks");
    (void)std::raise(SIGKILL);
}
void ask(const std::string& name) {
    ndshare::Client client(name);
    Words words(kWordCount);
    for (std::uint64_t turn = 1; turn <= kCalls; ++turn) {
        fill(words, turn);
        const ndshare::Frame answer = client(std::span<const std::uint64_t>(words), kWatchdog);
        const auto found = answer.view<const std::uint64_t, 1>().span();
        for (std::size_t k = 0; k < words.size(); ++k) {
            require(found[k] == -words[k], "a word is not the answer");
        }
    }
}

const std::map<std::string, void (*)(const std::string&)> kRoles{{"first", first},
                                                                 {"second", second},
                                                                 {"die-writing", die_writing},
                                                                 {"heal", heal},
                                                                 {"publish", publish},
                                                                 {"lie", lie},
                                                                 {"subscribe", subscribe},
                                                                 {"die-reading", die_reading},
                                                                 {"work", work},
                                                                 {"ask", ask},
                                                                 {"die-working", die_working}};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 || !kRoles.contains(argv[1])) {
        std::cerr << "usage: half ROLE NAME\n";
        return 2;
    }
    try {
        kRoles.at(argv[1])(argv[2]);
    } catch (const std::exception& error) {
        std::cerr << argv[1] << ": " << error.what() << '\n';
        return 1;
    }
    return 0;
}
