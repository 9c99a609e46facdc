// api/fork_mutex.h: a handle's mutex that fork() takes: no other thread is in the middle of what it
// guards when the process is copied, and the child does not find it locked for ever.
// Held for moments only, never over a sleep; taken before bells_mutex() and all that comes after
// it. Some are made and destroyed by a thread that holds another: so fork() takes all or none.
// Threads: any.
#pragma once
#include <mutex>

namespace ndshare::api {

class ForkMutex {
 public:
    ForkMutex();
    ~ForkMutex();
    ForkMutex(const ForkMutex&) = delete;
    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }
    bool try_lock() { return mutex_.try_lock(); }

    // The fork hooks.
    static void lock_all();
    static void unlock_all() noexcept;

 private:
    std::mutex mutex_;
};

}  // namespace ndshare::api
