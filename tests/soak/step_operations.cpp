#include "step_operations.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace ndshare::soak {
namespace {

using namespace std::chrono_literals;
using Operation = std::function<void()>;
using Bytes = std::vector<std::byte>;

constexpr auto kTime = 20s;
constexpr std::uint64_t kVictim = 7;

Bytes made(std::uint64_t count) {
    Bytes bytes(kStepBytes);
    fill(bytes, {kVictim, count});
    return bytes;
}

// Handles outlive their operation: their end is not part of it.
template <class T>
std::shared_ptr<T> kept(T&& value) {
    return std::make_shared<T>(std::forward<T>(value));
}

// Somebody who dies in the middle of body. Its end is finished when this returns.
template <class Body>
void make_corpse(Body body) {
    const pid_t pid = fork();
    if (pid == 0) {
        try {
            body();
        } catch (...) {
            _exit(1);
        }
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status)) throw std::runtime_error("no corpse was made");
}

std::shared_ptr<Array> array() {
    return kept(Array::open(kStepArray, {.writeable = true, .spin = Timeout(0)}));
}
std::shared_ptr<Publisher> publisher(bool blocks) {
    auto made = kept(blocks ? Publisher(kStepBlock, step_stream(Overflow::block))
                            : Publisher(kStepDrop, step_stream(Overflow::drop_oldest)));
    return made;
}
std::shared_ptr<Subscriber> subscriber(const char* name, bool latest = false) {
    return kept(Subscriber(name, {.latest = latest, .spin = Timeout(0)}));
}
void put(Publisher& publisher, std::uint64_t count) {
    (void)publisher.put_bytes(made(count), {.timeout = kTime});
}

void write_in_place(Array& array, bool recover) {
    auto writing = array.write(kTime, recover);
    fill(writing->bytes(), {kVictim, 2});
    writing->commit();
}

Operation heal() {
    make_corpse([] {
        auto own = Array::open(kStepArray, {.writeable = true, .spin = Timeout(0)});
        auto writing = own.write(kTime, true);
        fill(writing->bytes(), {kVictim, 3}, 0, 2);
        (void)new auto(std::move(writing));
        kill(getpid(), SIGKILL);
    });
    return [a = array()] { write_in_place(*a, true); };
}

// All slots but the newest's are in the hands of the dead.
Operation publish_after_deaths() {
    make_corpse([] {
        Publisher own(kStepDrop, step_stream(Overflow::drop_oldest));
        std::vector<Loan> loans;
        for (int k = 0; k + 1 < kStepSlots; ++k) loans.push_back(own.loan());
        kill(getpid(), SIGKILL);
    });
    return [p = publisher(false)] { put(*p, 4); };
}

Operation take(const char* name, bool latest) {
    auto s = subscriber(name, latest);
    auto p = publisher(name == kStepBlock);
    // It attaches and joins by looking once.
    (void)s->get(0s);
    put(*p, 5);
    return [s, p] {
        const auto frame = s->get(kTime);
        if (!frame || !proven(frame->bytes())) throw std::runtime_error("torn: a victim's frame");
    };
}

Operation copy_many() {
    auto s = subscriber(kStepDrop);
    auto p = publisher(false);
    (void)s->get(0s);
    put(*p, 5);
    put(*p, 6);
    return [s, p] {
        Bytes bytes(2 * kStepBytes);
        (void)s->get_many(bytes, 2, kTime);
    };
}

std::shared_ptr<Worker> worker() {
    auto options = step_service();
    return kept(Worker(kStepService, step_inputs(), step_outputs(), options));
}

Operation answer() {
    return [w = worker()] {
        auto batch = w->get({}, kTime);
        answer_step(*batch);
    };
}

Operation take_over() {
    make_corpse([] {
        const auto own = worker();
        const auto batch = own->get({}, kTime);
        kill(getpid(), SIGKILL);
    });
    return answer();
}

Call submitted(Client& client) {
    Call call = client.loan(kTime);
    fill(call.bytes("lines"), {kVictim, 8});
    call.submit(kTime);
    return call;
}

Operation ask(bool cancels) {
    auto c = kept(Client(kStepService, {.spin = Timeout(0)}));
    {
        const Call call = c->loan(kTime);
    }  // it attaches by its first call
    return [c, cancels] {
        Call call = submitted(*c);
        if (cancels) {
            (void)call.cancel();
            return;
        }
        const Frame frame = call.result(kTime);
        if (frame.value<std::uint64_t>("sum") != answer_to({kVictim, 8})) {
            throw std::runtime_error("wrong: the answer to another call");
        }
    };
}

// Calls of a dead client stand in every slot.
Operation claim_after_deaths() {
    make_corpse([] {
        Client own(kStepService, {.spin = Timeout(0)});
        std::vector<Call> calls;
        for (int k = 0; k < kStepSlots / 2; ++k) calls.push_back(own.loan(kTime));
        kill(getpid(), SIGKILL);
    });
    auto c = kept(Client(kStepService, {.spin = Timeout(0)}));
    return [c] {
        std::vector<Call> calls;
        for (int k = 0; k < kStepSlots / 2; ++k) calls.push_back(c->loan(kTime));
    };
}

const StepOperation kAll[] = {
    // The first one of a process also binds symbols and finds locales: that is not ours.
    {"open", Subject::array,
     [] {
         array()->close();
         return Operation([] { (void)new auto(array()); });
     }},
    {"close", Subject::array, [] { return Operation([a = array()] { a->close(); }); }},
    {"write all", Subject::array,
     [] { return Operation([a = array(), bytes = made(1)] { a->assign_bytes(bytes, kTime); }); }},
    {"write in place", Subject::array,
     [] { return Operation([a = array()] { write_in_place(*a, true); }); }},
    {"read", Subject::array,
     [] {
         return Operation([a = array()] {
             Bytes copy(kStepBytes);
             if (!a->read(std::span(copy), kTime) || !proven(copy)) {
                 throw std::runtime_error("torn: a victim's copy");
             }
         });
     }},
    {"attributes", Subject::array,
     [] {
         return Operation([a = array()] {
             a->update_attrs([](std::string_view) { return std::string("{\"n\":1}"); });
         });
     }},
    {"heal a dead one's write", Subject::array, heal},
    {"create", Subject::array,
     [] {
         Array::create("warm", step_spec(), std::span<const std::byte>(made(1))).close();
         return Operation([bytes = made(2)] {
             (void)new auto(Array::create(kStepNew, step_spec(), std::span<const std::byte>(bytes),
                                          {.existing = Existing::replace}));
         });
     }},
    {"publish a copy", Subject::drop,
     [] { return Operation([p = publisher(false)] { put(*p, 1); }); }},
    {"publish a loan", Subject::drop,
     [] {
         return Operation([p = publisher(false)] {
             Loan loan = p->loan();
             fill(std::span(loan.memory(0).get(), kStepBytes), {kVictim, 2});
             (void)loan.publish();
         });
     }},
    {"publish after deaths", Subject::drop, publish_after_deaths},
    {"subscribe", Subject::drop,
     [] { return Operation([s = subscriber(kStepDrop)] { (void)s->get(0s); }); }},
    {"take and let go", Subject::drop, [] { return take(kStepDrop, false); }},
    {"take the newest", Subject::drop, [] { return take(kStepDrop, true); }},
    {"copy many", Subject::drop, copy_many},
    {"publish in block", Subject::block,
     [] { return Operation([p = publisher(true)] { put(*p, 1); }); }},
    {"take in block", Subject::block, [] { return take(kStepBlock, false); }},
    {"call", Subject::service, [] { return ask(false); }, false, true},
    {"cancel", Subject::service, [] { return ask(true); }, false, true},
    {"answer", Subject::service, answer, true},
    {"take over a dead one's call", Subject::service, take_over, true},
    {"claim after deaths", Subject::service, claim_after_deaths},
};

}  // namespace

std::span<const StepOperation> step_operations() { return kAll; }

Spec step_spec() { return {.shape = {kStepBytes}, .dtype = "u1"}; }
PublisherOptions step_stream(Overflow overflow) {
    return {.shape = {kStepBytes},
            .dtype = "u1",
            .slots = kStepSlots,
            .overflow = overflow,
            .shared = true,
            .spin = Timeout(0)};
}
Fields step_inputs() { return {{"lines", {.shape = {kStepBytes}, .dtype = "u1"}}}; }
Fields step_outputs() { return {{"sum", {.shape = {}, .dtype = "u8"}}}; }
WorkerOptions step_service() { return {.slots = kStepSlots, .retries = 15, .spin = Timeout(0)}; }

void answer_step(Batch& batch) {
    const auto rows = batch.input<const std::uint8_t, 2>("lines");
    const auto sums = batch.output<std::uint64_t, 1>("sum");
    for (std::size_t k = 0; k < batch.size(); ++k) {
        const auto mark = proven(std::as_bytes(std::span(&rows(k, 0), kStepBytes)));
        if (!mark) throw std::runtime_error("torn: a request mixes calls");
        sums(k) = answer_to(*mark);
    }
    batch.reply();
}

}  // namespace ndshare::soak
