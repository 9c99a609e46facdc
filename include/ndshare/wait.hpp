// ndshare/wait.hpp: time, and waiting for several things at once.
#pragma once
#include <chrono>
#include <cstddef>
#include <span>

namespace ndshare {

// Every duration converts to it without loss, so no template is needed in any signature:
// wait(1s), wait(500us), wait(forever), wait(0s).
using Timeout = std::chrono::nanoseconds;
inline constexpr Timeout forever = Timeout::max();

class Array;
class Call;
class Subscriber;
namespace api {
class Awaited;
}

// One thing to wait for. Like pollfd: refers, does not own; the thing outlives it.
class Waitable {
 public:
    explicit(false) Waitable(Array& array) noexcept : array_(&array) {}
    explicit(false) Waitable(Subscriber& subscriber) noexcept : subscriber_(&subscriber) {}
    explicit(false) Waitable(Call& call) noexcept : call_(&call) {}
    bool ready() const noexcept { return ready_; }

 private:
    friend std::size_t wait(std::span<Waitable>, Timeout);
    api::Awaited& awaited() const;
    Array* array_ = nullptr;
    Subscriber* subscriber_ = nullptr;
    Call* call_ = nullptr;
    bool ready_ = false;
};

// How many things are ready; 0 = timed out. Sleeps in one futex_waitv (Linux 5.16), where that is
// absent in poll(2) over fileno(). At most 128 things (futex_waitv's limit): invalid_argument.
// A thing is ready when its own wait() would not sleep: news, or an error that it would raise.
// Threads: any. Reports nothing to the handles: call their wait() or read() next.
std::size_t wait(std::span<Waitable> things, Timeout timeout = forever);

// Called in every wait of this library on the waiting thread, at least every 100 ms and after each
// signal. May throw: the wait ends and the exception passes to its caller, nothing is lost.
// For bindings: Python installs PyErr_CheckSignals here. nullptr: none (the default).
// Threads: set it once, before other threads wait.
void set_interrupt_check(void (*check)()) noexcept;

// Around the part of an operation that spins or sleeps, on the waiting thread; an operation that
// finds what it wants at once calls neither. For bindings: Python gives its interpreter lock away.
// after gets what before returned, also when the wait ends by an exception.
// Threads: set it once, before other threads wait.
struct BlockingHooks {
    void* (*before)() noexcept = nullptr;
    void (*after)(void* token) noexcept = nullptr;
};
void set_blocking_hooks(const BlockingHooks& hooks) noexcept;

}  // namespace ndshare
