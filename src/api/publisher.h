// api/publisher.h: what a Publisher handle is behind the public header, shared with its loans.
// Threads: any. A Use keeps the memory through one operation.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "api/fork_mutex.h"
#include "api/gate.h"
#include "api/stream_memory.h"
#include "ndshare/stream.hpp"
#include "platform/clock.h"
#include "sync/patience.h"

namespace ndshare {

struct Publisher::Impl {
    Impl(std::string user_name, std::string whole_name, const PublisherOptions& options);

    const std::string name, full_name;
    const bool block;
    sync::SpinBudget spin;
    api::Gate gate;
    std::shared_ptr<const api::StreamMemory> memory;  // until the last one is out
    std::atomic<std::uint64_t> dropped{0};
    std::atomic<std::uint32_t> blocker_pid{0};  // who was in the way last; 0: nobody

    class Use {
     public:
        Use(Impl& impl, const char* operation);
        ~Use() { impl_.leave(); }
        Use(const Use&) = delete;
        const api::StreamMemory& memory() const { return *impl_.memory; }

     private:
        Impl& impl_;
    };
    void leave() noexcept;
    void close() noexcept;

    // What is written next to a frame.
    struct Stamp {
        std::optional<std::int64_t> time_ns{};
        std::string_view attrs{};
        std::optional<platform::Instant> now{};  // nullopt: look at the clock
    };
    // A slot of this process's; nullopt: none is free (drop_oldest), or not in time (block).
    std::optional<std::size_t> claim(const Use& use, Timeout timeout);
    // Gives the slot its number. REQUIRES: its fields, and their extents, are there.
    std::uint64_t commit(const Use& use, std::size_t slot, const Stamp& stamp);
    void count_dropped();
    // This process publishes here: it has a lease of its own. REQUIRES: a Use.
    void ensure_lease() {
        // Relaxed: a child finds its parent's word here, and its own is another one.
        if (leased_owner_.load(std::memory_order_relaxed) != memory->segment->owner())
            renew_lease();
    }
    void set_lease(std::shared_ptr<api::EndLease> lease);
    void require_current(const Use& use, const char* operation) const;
    void require_open_stream(const Use& use, const char* operation) const;
    [[noreturn]] void throw_replaced(const char* operation) const;
    void go_on(const Use& use, const char* operation);

 private:
    void renew_lease();
    void note_blocker(const api::StreamMemory& m, std::size_t end);
    api::ForkMutex mutex_;
    std::shared_ptr<api::EndLease> lease_;
    std::atomic<std::uint64_t> leased_owner_{0};  // whose process lease_ is
    sync::ClaimMemory claims_;
};

}  // namespace ndshare
