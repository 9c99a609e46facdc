#include "schedule/fiber.h"

#include <cxxabi.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace ndshare::schedule {
namespace {

#if defined(__SANITIZE_THREAD__)
constexpr unsigned kLivesOfTsanFiber = 500;
#endif

// Itanium C++ ABI: Exception Handling, 2.2.2. The type is opaque in <cxxabi.h>.
void* exception_globals() noexcept { return abi::__cxa_get_globals(); }

#if defined(__SANITIZE_ADDRESS__)
void bounds_of_thread(std::byte*& begin, std::size_t& bytes) {
    pthread_attr_t attributes;
    void* at = nullptr;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) std::abort();
    pthread_attr_getstack(&attributes, &at, &bytes);
    pthread_attr_destroy(&attributes);
    begin = static_cast<std::byte*>(at);
}
#endif

}  // namespace

Fiber::Fiber(std::size_t stack_bytes) : stack_bytes_(stack_bytes) {
    // A page that cannot be touched lies below: an overflow is a crash, not a riddle.
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    memory_bytes_ = stack_bytes + page;
    void* memory = mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0) std::abort();
    memory_ = static_cast<std::byte*>(memory);
    stack_ = memory_ + page;
}

Fiber::~Fiber() {
#if defined(__SANITIZE_THREAD__)
    if (memory_ != nullptr && sanitizer_fiber_ != nullptr) __tsan_destroy_fiber(sanitizer_fiber_);
#endif
    if (memory_ != nullptr) munmap(memory_, memory_bytes_);
}

void Fiber::prepare(std::function<void()> body) {
    body_ = std::move(body);
    exceptions_ = {};
    sanitizer_stack_ = nullptr;
#if defined(__SANITIZE_ADDRESS__)
    // Frames that were left for ever are still marked there.
    ASAN_UNPOISON_MEMORY_REGION(stack_, stack_bytes_);
#elif defined(__SANITIZE_THREAD__)
    // Making one takes long. Each life that is left in the middle leaves its frames on the shadow
    // stack of 65536, so now and then there has to be a new one.
    if (prepared_count_++ % kLivesOfTsanFiber == 0) {
        if (sanitizer_fiber_ != nullptr) __tsan_destroy_fiber(sanitizer_fiber_);
        sanitizer_fiber_ = __tsan_create_fiber(0);
    }
#endif
    if (getcontext(&context_) != 0) std::abort();
    context_.uc_stack.ss_sp = stack_;
    context_.uc_stack.ss_size = stack_bytes_;
    context_.uc_link = nullptr;
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    // makecontext(3) passes ints only.
    makecontext(&context_, reinterpret_cast<void (*)()>(&Fiber::enter), 2,
                static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
}

void Fiber::enter(unsigned high, unsigned low) {
    auto* self = reinterpret_cast<Fiber*>((std::uintptr_t{high} << 32) | low);
    self->arrive();
    self->body_();
    std::abort();
}

void Fiber::jump(Fiber& from, Fiber& to) {
    std::memcpy(&from.exceptions_, exception_globals(), sizeof from.exceptions_);
#if defined(__SANITIZE_ADDRESS__)
    if (to.stack_ == nullptr) bounds_of_thread(to.stack_, to.stack_bytes_);
    __sanitizer_start_switch_fiber(&from.sanitizer_stack_, to.stack_, to.stack_bytes_);
#elif defined(__SANITIZE_THREAD__)
    if (from.sanitizer_fiber_ == nullptr) from.sanitizer_fiber_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to.sanitizer_fiber_, 0);
#endif
    if (swapcontext(&from.context_, &to.context_) != 0) std::abort();
    from.arrive();
}

void Fiber::arrive() noexcept {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(sanitizer_stack_, nullptr, nullptr);
#endif
    std::memcpy(exception_globals(), &exceptions_, sizeof exceptions_);
}

}  // namespace ndshare::schedule
