// api/gate.h: a handle's door. Operations go in and out; close() lets nobody in any more, and the
// last one out clears up. Threads: any. Processes: private. Blocks: no.
#pragma once
#include <atomic>
#include <cstdint>

namespace ndshare::api {

class Gate {
 public:
    // false: closed.
    bool enter() noexcept {
        std::uint32_t users = users_.load(std::memory_order_relaxed);
        do {
            if (users == 0) return false;
            // SYNC(handle-gate): sees what the constructor made.
        } while (!users_.compare_exchange_weak(users, users + 1, std::memory_order_seq_cst));
        return true;
    }
    // true: the last one, after close(): clear up.
    // SYNC(handle-gate): whoever is last comes after all that the others did.
    bool leave() noexcept { return users_.fetch_sub(1, std::memory_order_seq_cst) == 1; }

    // true: this call closed it; leave() once more.
    bool close() noexcept { return !closed_.exchange(true, std::memory_order_seq_cst); }
    bool closed() const noexcept { return closed_.load(std::memory_order_seq_cst); }
    bool has_visitors() const noexcept { return users_.load(std::memory_order_seq_cst) > 1; }

 private:
    std::atomic<std::uint32_t> users_{1};  // the handle itself, and each operation
    std::atomic<bool> closed_{false};
};

}  // namespace ndshare::api
