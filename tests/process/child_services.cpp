// What the fault walk's child does with a service; see child.cpp.
#include "child_services.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>

namespace ndshare::test {
namespace {

using namespace std::chrono_literals;

void require(bool good, const char* what) {
    if (good) return;
    std::printf("wrong: %s\n", what);
    std::exit(4);
}

Call ask(Client& client, std::uint64_t value, Timeout timeout = 5s) {
    Call call = client.loan(5s);
    fill(call, value);
    call.submit(timeout);
    return call;
}

// A worker among others; calls are there already.
void serve(const std::string& name) {
    Worker worker(name, walk_inputs(), walk_outputs(), walk_options());
    for (int done = 0; done < 4;) {
        auto batch = worker.get({.max_batch_size = 2}, 100ms);
        if (!batch) return;
        done += static_cast<int>(batch->size());
        if (done == 1) {
            auto dropped = std::move(*batch);  // goes back to the others
            continue;
        }
        answer(*batch);
    }
}

// A client among others; somebody answers.
void ask_often(const std::string& name) {
    Client client(name);
    for (std::uint64_t k = 1; k < 4; ++k) {
        Call call = ask(client, k);
        require(is_answer_to(call.result(), k), "another call's answer");
    }
    const Frame kept = ask(client, 10).result();
    Call cancelled = ask(client, 11);
    cancelled.cancel();
    {
        const Call dropped = ask(client, 12);
    }
    {
        const Call loaned = client.loan(5s);
    }
    Call polled = ask(client, 13);
    require(polled.fileno() >= 0, "fileno");
    require(is_answer_to(polled.result(), 13), "another call's answer");
    require(is_answer_to(kept, 10), "a kept answer changed");
}

// A service of its own: made, joined, made anew with other specs.
void found(const std::string& name) {
    const std::string own = name + "-own";
    std::optional<Client> client;
    for (const std::int64_t size : {2, 3}) {
        Worker worker(own, {{"x", {.shape = {size}, .dtype = "u8"}}},
                      {{"y", {.shape = {}, .dtype = "u8"}}}, {.slots = 2});
        Worker second(own);
        if (!client) client.emplace(own);
        Call call = client->loan(5s);
        for (auto& x : call.input<std::uint64_t, 1>().span()) x = 4;
        call.submit(5s);
        Call cancelled = client->loan(5s);
        cancelled.submit();
        cancelled.cancel();
        auto batch = second.get({}, 500ms);
        if (!batch) return;
        batch->output<std::uint64_t, 1>()(0) = 44;
        batch->reply();
        require(call.result().value<std::uint64_t>() == 44, "another answer");
    }
}

// A worker that dies with a call in its hands, found by its client.
void lose_a_worker(const std::string& name) {
    const std::string own = name + "-lose";
    Worker worker(own, walk_inputs(), walk_outputs(), walk_options());
    const pid_t doomed = fork();
    if (doomed == 0) {
        try {
            auto batch = worker.get({}, 500ms);
            if (batch) raise(SIGKILL);
        } catch (const Error&) {
            _exit(3);
        }
        _exit(0);
    }
    Client client(own);
    Call call = ask(client, 21);
    int status = 0;
    waitpid(doomed, &status, 0);
    (void)call.wait(200ms);  // its client finds the dead between two slices
    if (auto batch = worker.get({}, 500ms)) answer(*batch);
    const Outcome outcome = call.wait(500ms);
    require(outcome != Outcome::answered || is_answer_to(call.result(), 21), "another answer");
}

}  // namespace

const std::map<std::string, std::function<void(const std::string&)>>& service_scenarios() {
    static const std::map<std::string, std::function<void(const std::string&)>> all{
        {"serve", serve},
        {"ask", ask_often},
        {"found_service", found},
        {"lose_a_worker", lose_a_worker}};
    return all;
}

}  // namespace ndshare::test
