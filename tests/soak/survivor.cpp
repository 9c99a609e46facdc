#include "survivor.h"

#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "payload.h"
#include "roles.h"

namespace ndshare::soak {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::byte>;

std::size_t open_files() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}
std::size_t mappings() {
    std::ifstream in("/proc/self/maps");
    std::size_t lines = 0;
    for (std::string line; std::getline(in, line);) ++lines;
    return lines;
}
std::size_t resident_pages() {
    std::ifstream in("/proc/self/statm");
    std::size_t total = 0, resident = 0;
    in >> total >> resident;
    return resident;
}

class Survivor {
 public:
    explicit Survivor(Life& life)
        : life_(life),
          array_(
              Array::create(kArrayNames[0], payload_spec(), std::span<const std::byte>(made(0)))),
          renewed_(
              Array::create(kArrayNames[1], payload_spec(), std::span<const std::byte>(made(0)))),
          drop_(kDropName, stream_options(Overflow::drop_oldest)),
          block_(kBlockName, stream_options(Overflow::block)),
          worker_(kServiceName, service_inputs(), service_outputs(), service_options()),
          client_(kServiceName),
          newest_(kDropName, {.latest = true}) {}

    // Whatever has just happened to others: each operation succeeds, or says that a write is
    // incomplete, in bounded time.
    void do_everything() {
        ++count_;
        write();
        read();
        publish(drop_);
        publish(block_);
        take();
        call();
        attach();
    }

    // The same number of files and mappings whatever died; memory grows by caches at most.
    void require_no_growth() {
        if (!files_) {
            files_ = open_files(), maps_ = mappings(), pages_ = resident_pages();
            return;
        }
        constexpr std::size_t slack_pages = 2048;
        // A file may be open for a moment while the kernel is asked about somebody.
        if (open_files() > *files_ + 2) life_.wrong("leaked: descriptors of the survivor");
        if (mappings() > maps_ + 8) life_.wrong("leaked: mappings of the survivor");
        if (resident_pages() > pages_ + slack_pages) life_.wrong("leaked: memory of the survivor");
    }

    // REQUIRES: everybody else is gone.
    void require_all_back() {
        for (const char* name : {kArrayNames[0], kDropName, kBlockName, kServiceName}) {
            require_alone(name);
        }
        for (Publisher* publisher : {&drop_, &block_}) {
            const int slots = publisher->slots();
            // The newest frame's slot is nobody's to claim; all others are free at once.
            std::vector<Loan> loans;
            for (int k = 0; k + 1 < slots; ++k) {
                auto loan = publisher->loan(kPatience);
                life_.require(loan.has_value(), "leaked: a slot of a stream did not come back");
                fill(std::span(loan->memory(0).get(), kPayloadBytes), {life_.id(), ++count_});
                loans.push_back(std::move(*loan));
            }
            for (Loan& loan : loans) {
                life_.require(loan.publish().has_value(), "leaked: a slot is held by the dead");
            }
        }
        std::vector<Call> calls;
        for (int k = 0; k < worker_.slots(); ++k) calls.push_back(client_.loan(kPatience));
        calls.clear();
        do_everything();
    }

 private:
    Bytes made(std::uint64_t count) const {
        Bytes bytes(kPayloadBytes);
        fill(bytes, {life_.id(), count});
        return bytes;
    }
    void write() {
        life_.now(Doing::writing);
        const Bytes bytes = made(count_);
        if (count_ % 2 == 0) {
            array_.assign_bytes(bytes, kPatience);
        } else {
            auto writing = array_.write(kPatience, true);
            life_.require(writing.has_value(), "hung: the survivor's write did not begin");
            std::ranges::copy(bytes, writing->bytes().begin());
            writing->commit();
        }
        // As writers do; a lock that a dead one left is taken so.
        array_.update_attrs([](std::string_view) { return std::string(R"({"n":0,"x":""})"); });
        life_.did(Doing::writing);
    }
    void read() {
        life_.now(Doing::reading);
        Bytes copy(kPayloadBytes);
        try {
            life_.require(array_.read(std::span(copy), kPatience), "hung: the survivor's read");
            life_.require(proven(copy).has_value(), "torn: the survivor's copy");
        } catch (const Error& error) {
            if (error.code() != Errc::incomplete_write) throw;
        }
        life_.did(Doing::reading);
    }
    void publish(Publisher& publisher) {
        life_.now(Doing::publishing);
        const auto seq = publisher.put_bytes(made(count_), {.timeout = kPatience});
        if (&publisher == &block_) life_.require(seq.has_value(), "hung: the survivor's put");
        life_.did(Doing::publishing);
    }
    void take() {
        life_.may_hold_frames(true);
        life_.now(Doing::taking);
        {
            const auto frame = newest_.get(kPatience);
            if (!frame) life_.wrong("hung: the survivor got no frame");
            life_.require(proven(frame->bytes()).has_value(), "torn: the survivor's frame");
            life_.require(frame->seq() > last_, "a number went back");
            last_ = frame->seq();
        }
        life_.may_hold_frames(false);
        life_.did(Doing::taking);
    }
    // The survivor answers too, so that it does not depend on anybody.
    void call() {
        life_.now(Doing::asking);
        Call call = client_.loan(kPatience);
        fill(call.bytes("lines"), {life_.id(), count_});
        call.submit(kPatience);
        while (!call.done()) {
            auto batch = worker_.get({.max_batch_size = 8}, 1ms);
            if (batch) answer(life_, *batch);
        }
        try {
            require_answer(life_, call.result(kPatience), life_.id(), count_);
        } catch (const Error& error) {
            if (error.code() != Errc::remote && error.code() != Errc::worker_died) throw;
        }
        life_.did(Doing::asking);
    }
    void attach() {
        life_.now(Doing::attaching);
        {
            const Array other = Array::open(kArrayNames[0], {.timeout = kPatience});
            life_.require(other.version() > 0, "a version went back");
        }
        if (renewed_.replaced()) {
            renewed_ = Array::create(kArrayNames[1], payload_spec(),
                                     std::span<const std::byte>(made(count_)),
                                     {.existing = Existing::adopt});
        }
        (void)ls();
        life_.did(Doing::attaching);
    }
    void require_alone(const char* name) {
        // The kernel may still be finishing the exits.
        const auto end = std::chrono::steady_clock::now() + 10s;
        for (;;) {
            const Info found = info(name);
            const auto others = std::ranges::count_if(
                found.holders, [](int pid) { return pid != static_cast<int>(getpid()); });
            if (others == 0) return;
            if (std::chrono::steady_clock::now() > end) {
                life_.wrong("leaked: rows of " + std::string(name) + " are held by the dead");
            }
            usleep(10'000);
        }
    }

    Life& life_;
    Array array_, renewed_;
    Publisher drop_, block_;
    Worker worker_;
    Client client_;
    Subscriber newest_;
    std::uint64_t count_ = 0, last_ = 0;
    std::optional<std::size_t> files_;
    std::size_t maps_ = 0, pages_ = 0;
};

}  // namespace

void survive(Life& life, Ledger& ledger, void (*ready)(int), int ready_argument) {
    Survivor survivor(life);
    ready(ready_argument);
    for (int k = 0; ledger.phase.load() == kLoad; ++k) {
        survivor.do_everything();
        // Once the caches are filled.
        if (k >= 50 && k % 10 == 0) survivor.require_no_growth();
        usleep(20'000);
    }
    survivor.require_all_back();
    ledger.phase.store(kAtRest);
    while (ledger.phase.load() != kAudited) {
        life.now(Doing::between);
        usleep(5'000);
    }
    life.now(Doing::leaving);
}

}  // namespace ndshare::soak
