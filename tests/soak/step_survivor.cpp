#include "step_survivor.h"

#include <poll.h>
#include <unistd.h>

#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "step_operations.h"

namespace ndshare::soak {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::byte>;

constexpr std::uint64_t kMe = 3;

void require(bool good, const char* what) {
    if (!good) throw std::runtime_error(what);
}

class StepSurvivor {
 public:
    explicit StepSurvivor(Timeout patience)
        : patience_(patience),
          array_(Array::create(kStepArray, step_spec(), std::span<const std::byte>(made()))),
          drop_(kStepDrop, step_stream(Overflow::drop_oldest)),
          block_(kStepBlock, step_stream(Overflow::block)),
          drop_reader_(kStepDrop, {.spin = Timeout(0)}),
          block_reader_(kStepBlock, {.spin = Timeout(0)}),
          worker_(kStepService, step_inputs(), step_outputs(), step_service()),
          client_(kStepService, {.spin = Timeout(0)}) {
        for (const StepOperation& one : step_operations()) check(one);
    }

    void prepare(const StepOperation& operation) {
        if (operation.is_asked) asked_.emplace(submitted());
    }

    void check(const StepOperation& operation) {
        switch (operation.subject) {
            case Subject::array:
                return check_array();
            case Subject::drop:
                return check_stream(drop_, drop_reader_, kStepDrop);
            case Subject::block:
                return check_stream(block_, block_reader_, kStepBlock);
            case Subject::service:
                return check_service();
        }
    }

    void serve() {
        if (auto batch = worker_.get({.max_batch_size = kStepSlots}, 1ms)) answer_step(*batch);
    }

 private:
    Bytes made() {
        Bytes bytes(kStepBytes);
        fill(bytes, {kMe, ++count_});
        return bytes;
    }

    // The old value or the new one, or the word that a write was left; then it works as ever.
    void check_array() {
        Bytes copy(kStepBytes);
        try {
            require(array_.read(std::span(copy), patience_), "hung: the survivor's read");
            require(proven(copy).has_value(), "torn: the survivor's copy");
        } catch (const Error& error) {
            if (error.code() != Errc::incomplete_write) throw;
        }
        const Bytes bytes = made();
        array_.assign_bytes(bytes, patience_);
        require(array_.read(std::span(copy), patience_) && copy == bytes, "wrong: its own write");
        const std::string attrs = array_.attrs_json();
        require(attrs == "{}" || attrs == "{\"n\":1}", "torn: attributes");
        array_.update_attrs([](std::string_view) { return std::string("{}"); });
        require_alone(kStepArray);
        const auto again = Array::create(kStepNew, step_spec(), std::span<const std::byte>(bytes),
                                         {.existing = Existing::adopt});
        require(again.read(std::span(copy), patience_) && copy == bytes,
                "wrong: the name of the dead");
    }

    void drain(Subscriber& reader) {
        while (const auto frame = reader.get(0s)) {
            require(proven(frame->bytes()).has_value(), "torn: a frame");
            require(frame->seq() > last_[&reader == &block_reader_], "a number went back");
            last_[&reader == &block_reader_] = frame->seq();
        }
        require(reader.lost() == 0, "lost: a frame");
    }

    // All slots but the newest's can be had at once, and what is published comes, in order.
    void check_stream(Publisher& publisher, Subscriber& reader, const char* name) {
        drain(reader);
        std::vector<Loan> loans;
        std::vector<Bytes> said;
        for (int k = 0; k + 1 < kStepSlots; ++k) {
            auto loan = publisher.loan(patience_);
            require(loan.has_value(), "leaked: a slot did not come back");
            loans.push_back(std::move(*loan));
        }
        for (Loan& loan : loans) {
            said.push_back(made());
            std::memcpy(loan.memory(0).get(), said.back().data(), kStepBytes);
            require(loan.publish().has_value(), "leaked: a slot is held by the dead");
        }
        for (const Bytes& bytes : said) {
            const auto frame = reader.get(patience_);
            require(frame.has_value(), "hung: no frame came");
            const auto got = frame->bytes();
            require(std::equal(got.begin(), got.end(), bytes.begin()), "wrong: another frame");
        }
        drain(reader);
        require_alone(name);
    }

    void require_alone(const char* name) {
        for (const int pid : info(name).holders) {
            require(pid == static_cast<int>(getpid()), "leaked: a row of the dead");
        }
    }

    Call submitted() {
        Call call = client_.loan(patience_);
        fill(call.bytes("lines"), {kMe, ++count_});
        asked_count_ = count_;
        call.submit(patience_);
        return call;
    }
    void collect(Call& call, std::uint64_t count) {
        const auto end = std::chrono::steady_clock::now() + 2 * patience_;
        while (!call.done()) {
            serve();
            require(std::chrono::steady_clock::now() < end, "hung: a call is not over");
        }
        const Frame frame = call.result(patience_);
        require(frame.value<std::uint64_t>("sum") == answer_to({kMe, count}),
                "wrong: the answer to another call");
    }

    // What was asked before is answered, and all slots can be had.
    void check_service() {
        if (asked_) collect(*asked_, asked_count_);
        asked_.reset();
        Call call = submitted();
        collect(call, asked_count_);
        std::vector<Call> calls;
        {
            const Call gone = std::move(call);
        }
        for (int k = 0; k < kStepSlots; ++k) calls.push_back(client_.loan(patience_));
        calls.clear();
        require_alone(kStepService);
    }

    const Timeout patience_;
    std::uint64_t count_ = 0, asked_count_ = 0;
    std::uint64_t last_[2]{};
    Array array_;
    Publisher drop_, block_;
    Subscriber drop_reader_, block_reader_;
    Worker worker_;
    Client client_;
    std::optional<Call> asked_;
};

const StepOperation& operation_of(const std::string& name) {
    for (const StepOperation& one : step_operations()) {
        if (one.name == name) return one;
    }
    throw std::runtime_error("no such operation");
}

// A line; nullopt: none yet. Ends the process when the socket was closed.
std::optional<std::string> line_of(int socket, int timeout_ms) {
    pollfd ready{socket, POLLIN, 0};
    if (poll(&ready, 1, timeout_ms) <= 0) return std::nullopt;
    std::string line;
    for (char byte = 0;;) {
        if (read(socket, &byte, 1) != 1) _exit(0);
        if (byte == '\n') return line;
        line += byte;
    }
}

void say(int socket, const std::string& line) {
    const std::string text = line + "\n";
    (void)!write(socket, text.data(), text.size());
}

}  // namespace

void survive_steps(int socket, std::chrono::milliseconds patience) {
    try {
        StepSurvivor survivor(patience);
        say(socket, "ok");
        bool serves = false;
        for (;;) {
            const auto line = line_of(socket, serves ? 0 : -1);
            if (!line) {
                if (serves) survivor.serve();
                continue;
            }
            const auto space = line->find(' ');
            const StepOperation& operation = operation_of(line->substr(space + 1));
            serves = line->starts_with("prepare") && operation.is_served;
            line->starts_with("prepare") ? survivor.prepare(operation) : survivor.check(operation);
            say(socket, "ok");
        }
    } catch (const std::exception& error) {
        say(socket, error.what());
        _exit(1);
    }
}

}  // namespace ndshare::soak
