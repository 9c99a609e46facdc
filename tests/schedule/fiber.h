// schedule/fiber.h: a stack that is entered and left by hand; one for each virtual process.
//
// A fiber may be left for ever in the middle of anything, which is what kill -9 does: nothing on
// its stack is destroyed. Exceptions may be in flight while another fiber runs: the C++ runtime's
// list of them, one a thread, is kept a fiber instead. Threads: one for all fibers.
#pragma once
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <functional>

namespace ndshare::schedule {

class Fiber {
 public:
    Fiber() = default;  // the thread's own stack: only left and come back to
    explicit Fiber(std::size_t stack_bytes);
    ~Fiber();
    Fiber(const Fiber&) = delete;

    // The next jump to this fiber begins body on an empty stack. body never returns: it ends by a
    // jump to somewhere else.
    void prepare(std::function<void()> body);
    // Goes on in to, until somebody jumps to from again.
    static void jump(Fiber& from, Fiber& to);

 private:
    static void enter(unsigned high, unsigned low);
    void arrive() noexcept;

    ucontext_t context_{};
    std::byte* memory_ = nullptr;
    std::size_t memory_bytes_ = 0, stack_bytes_ = 0;
    std::byte* stack_ = nullptr;
    std::function<void()> body_;
    struct ExceptionState {
        void* caught = nullptr;
        unsigned uncaught = 0;
    } exceptions_;
    void* sanitizer_stack_ = nullptr;  // ASan's
    void* sanitizer_fiber_ = nullptr;  // TSan's
    unsigned prepared_count_ = 0;
};

}  // namespace ndshare::schedule
