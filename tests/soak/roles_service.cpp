// Children that ask and answer, and one that forks while it has handles of every kind.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "payload.h"
#include "roles.h"

namespace ndshare::soak {
namespace {

using namespace std::chrono_literals;

const std::string kRefusal = "refused: ";

Mark request_of(Life& life, const Batch& batch, std::size_t k) {
    const auto rows = batch.input<const std::uint8_t, 2>("lines");
    const auto mark = proven(std::as_bytes(std::span(&rows(k, 0), kPayloadBytes)));
    if (!mark) life.wrong("torn: a request mixes calls");
    return *mark;
}

void answer_some(Life& life, Batch& batch) {
    if (life.one_in(64)) return;  // dropped: they go to another worker
    if (life.one_in(32)) {
        // Its callers compare: each is told of the first one of its batch.
        for (std::size_t k = 0; k < batch.size(); ++k) {
            const Mark mark = request_of(life, batch, k);
            batch[k].fail(kRefusal + std::to_string(answer_to(mark)));
        }
        return;
    }
    if (life.one_in(4)) {
        for (std::size_t k = batch.size(); k-- > 0;) {
            Batch part = batch[k];
            answer(life, part);
        }
        return;
    }
    answer(life, batch, life.is_canary("other-answer"));
}

struct Asked {
    Call call;
    std::uint64_t count;
};

Asked submit(Life& life, Client& client, std::uint64_t count) {
    Call call = client.loan(kPatience);
    fill(call.bytes("lines"), {life.id(), count});
    call.submit(kPatience);
    return {std::move(call), count};
}

void collect(Life& life, Asked& asked) {
    if (life.one_in(32)) {
        (void)asked.call.cancel();
        return;
    }
    if (life.one_in(64)) return;  // dropped
    try {
        require_answer(life, asked.call.result(kPatience), life.id(), asked.count);
    } catch (const Error& error) {
        const std::string text = error.what();
        const bool refused =
            error.code() == Errc::remote &&
            text.find(kRefusal + std::to_string(answer_to({life.id(), asked.count}))) != text.npos;
        // retries are bounded: so many workers may have died over one call.
        if (!refused && error.code() != Errc::worker_died) throw;
    }
}

// The child of a fork has the same handles; it looks at the frame that its parent took, and does a
// little of everything.
[[noreturn]] void be_grandchild(Life& life, Array& array, Publisher& publisher, const Frame& frame,
                                const Mark& mark) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    life.draw_otherwise(static_cast<std::uint64_t>(getpid()) << 20);
    try {
        std::vector<std::byte> bytes(kPayloadBytes);
        for (std::uint64_t count = 1; count < 20; ++count) {
            if (proven(frame.bytes()) != mark) life.wrong("torn: a frame changed in a fork");
            // A name of its own: its counts are not its parent's.
            fill(bytes, {life.id() | std::uint64_t{1} << 60, life.below(~0ULL >> 1)});
            array.assign_bytes(bytes, kPatience);
            fill(bytes, {life.below(~0ULL >> 1) | std::uint64_t{1} << 61, count});
            (void)publisher.put_bytes(bytes);
        }
    } catch (const Error& error) {
        life.wrong(std::string("in a fork: ") + error.what());
    }
    _exit(0);
}

void wait_for_child(Life& life, pid_t child, bool killed) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (std::chrono::steady_clock::now() > end) life.wrong("hung: a fork did not end");
        usleep(500);
    }
    const bool good = killed ? WIFSIGNALED(status) || WIFEXITED(status)
                             : WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!good) life.wrong("a fork ended with status " + std::to_string(status));
}

}  // namespace

Fields service_inputs() { return {{"lines", {.shape = {kPayloadBytes}, .dtype = "u1"}}}; }
Fields service_outputs() {
    return {{"sum", {.shape = {}, .dtype = "u8"}},
            {"echo", {.shape = {kPayloadBytes}, .dtype = "u1"}}};
}
WorkerOptions service_options() { return {.slots = 16, .retries = 15}; }

void answer(Life& life, Batch& batch, bool other) {
    const auto sums = batch.output<std::uint64_t, 1>("sum");
    const auto echoes = batch.output<std::uint8_t, 2>("echo");
    for (std::size_t k = 0; k < batch.size(); ++k) {
        Mark mark = request_of(life, batch, k);
        if (other) ++mark.count;
        fill(std::as_writable_bytes(std::span(&echoes(k, 0), kPayloadBytes)), mark);
        sums(k) = answer_to(mark);
    }
    batch.reply();
}

void require_answer(Life& life, const Frame& frame, std::uint64_t writer, std::uint64_t count) {
    const Mark mark{writer, count};
    const auto echoed = proven(frame.bytes("echo"));
    if (!echoed) life.wrong("torn: an answer mixes answers");
    if (*echoed != mark || frame.value<std::uint64_t>("sum") != answer_to(mark)) {
        life.wrong("wrong: the answer to another call: " + std::to_string(echoed->writer) + " " +
                   std::to_string(echoed->count) + " instead of " + std::to_string(writer) + " " +
                   std::to_string(count));
    }
}

void keep_working(Life& life) {
    life.now(Doing::attaching);
    Worker worker(kServiceName, service_inputs(), service_outputs(), service_options());
    life.did(Doing::attaching);
    while (!life.one_in(kLeaves)) {
        life.now(Doing::taking);
        const auto size = static_cast<int>(1 + life.below(4));
        auto batch = worker.get({.max_batch_size = size}, 500ms);
        if (!batch) continue;
        life.now(Doing::answering);
        const std::size_t n = batch->size();
        answer_some(life, *batch);
        life.did(Doing::answering, n);
    }
    life.now(Doing::leaving);
}

void keep_asking(Life& life) {
    life.now(Doing::attaching);
    Client client(kServiceName);
    life.did(Doing::attaching);
    std::deque<Asked> asked;
    for (std::uint64_t count = 1; !life.one_in(kLeaves);) {
        life.now(Doing::asking);
        while (asked.size() < 1 + life.below(3)) asked.push_back(submit(life, client, count++));
        collect(life, asked.front());
        asked.pop_front();
        life.did(Doing::asking);
    }
    life.now(Doing::leaving);
}

void keep_forking(Life& life) {
    life.now(Doing::attaching);
    Array array = Array::open(kArrayNames[0], {.writeable = true, .timeout = kPatience});
    Publisher publisher(kDropName, stream_options(Overflow::drop_oldest));
    Subscriber subscriber(kDropName);
    life.did(Doing::attaching);
    while (!life.one_in(100)) {
        life.may_hold_frames(true);
        life.now(Doing::taking);
        auto frame = subscriber.get(kPatience);
        if (!frame) life.wrong("hung: no frame came in time");
        const auto mark = proven(frame->bytes());
        if (!mark) life.wrong("torn: a frame mixes writes");
        life.now(Doing::forking);
        const pid_t child = fork();
        if (child < 0) life.wrong("fork failed");
        if (child == 0) be_grandchild(life, array, publisher, *frame, *mark);
        life.forked();
        std::vector<std::byte> bytes(kPayloadBytes);
        fill(bytes, {life.id(), life.below(~0ULL >> 1)});
        array.assign_bytes(bytes, kPatience);
        const bool kills = life.one_in(2);
        if (kills) {
            usleep(static_cast<useconds_t>(life.below(3000)));
            kill(child, SIGKILL);
            life.killed_its_child();
        }
        wait_for_child(life, child, kills);
        if (proven(frame->bytes()) != *mark) life.wrong("torn: a pinned frame changed");
        frame.reset();
        life.may_hold_frames(false);
        life.did(Doing::forking);
    }
    life.now(Doing::leaving);
}

const Role kRoles[] = {
    {"writer", keep_writing},
    {"reader", keep_reading},
    {"publisher", [](Life& life) { keep_publishing(life, kDropName); }},
    {"in order", subscribe_in_order},
    {"latest", subscribe_latest},
    {"block publisher", [](Life& life) { keep_publishing(life, kBlockName); }},
    {"block subscriber", subscribe_block},
    {"worker", keep_working},
    {"client", keep_asking},
    {"namer", keep_naming},
    {"forker", keep_forking},
};
const std::size_t kRoleCount = std::size(kRoles);

}  // namespace ndshare::soak
