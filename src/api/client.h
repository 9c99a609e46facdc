// api/client.h: what a Client handle and its calls are behind the public header. The client is
// attached to the memory that its name leads to, or to none, and follows the name by itself.
// Threads: any; the mutex is never held over a sleep.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/awaited.h"
#include "api/bell.h"
#include "api/fork_mutex.h"
#include "api/frame.h"
#include "api/gate.h"
#include "api/service_memory.h"
#include "api/slot_holder.h"
#include "ndshare/service.hpp"
#include "sync/patience.h"

namespace ndshare {

struct Client::Impl {
    Impl(std::string user_name, std::string whole_name, const ClientOptions& options)
        : name(std::make_shared<const std::string>(std::move(user_name))),
          full_name(std::move(whole_name)),
          priority(options.priority),
          spin(options.spin.count()) {}

    const std::shared_ptr<const std::string> name;  // the user's
    const std::string full_name;
    const std::int32_t priority;
    sync::SpinBudget spin;
    api::Gate gate;

    class Use {
     public:
        Use(Impl& impl, const char* operation);
        ~Use() { impl_.leave(); }
        Use(const Use&) = delete;

     private:
        Impl& impl_;
    };
    void leave() noexcept;
    void close() noexcept;

    struct Seat {
        std::shared_ptr<const api::ServiceMemory> memory;  // nullptr: there is no service
        std::shared_ptr<api::ServiceLease> lease;
    };
    // Attaches where it can, moves on to newer memory. Errors: Invalid (it is no service).
    Seat seat();
    // This client's part of the slots: how many calls it may have under way (two at least), and how
    // many of these may be answers that somebody keeps: half of the slots at most over all clients,
    // so that kept answers never stop the service. anew: asks who lives; else only when clients
    // came or left, which a death does not tell.
    struct Share {
        std::size_t under_way = 0, kept = 0;
    };
    Share share(const Seat& seat, bool anew = false);
    std::uint64_t next_order(const Seat& seat);
    void require_open(const char* operation) const;
    // The name leads to other memory by now. Asks the name now and then.
    bool leads_elsewhere(const api::ServiceMemory& memory);

    // Slots that this handle has, and how many of them are answers that somebody keeps.
    std::atomic<std::size_t> under_way{0}, kept{0};

 private:
    bool leads_elsewhere_locked(const api::ServiceMemory& memory);
    Seat detach() noexcept;

    api::ForkMutex mutex_;
    Seat seat_;
    std::uint64_t order_ = 0;
    std::int64_t name_looked_ns_ = 0;
    bool leads_elsewhere_ = false;   // as of that look
    std::uint32_t share_joins_ = 0;  // of share_, as `joins` was
    Share share_;
};

struct Call::Impl final : api::Awaited, api::SlotHolder, std::enable_shared_from_this<Call::Impl> {
    Impl(std::shared_ptr<Client::Impl> client, Client::Impl::Seat seat, const sync::Held& held);
    ~Impl() override;

    enum class Phase { loaned, pending, answered, failed, gone };
    bool is_ours() const {
        return owner == seat.memory->segment->owner() && !seat.memory->segment->is_lost();
    }
    void require_loaned(const char* operation) const;
    void submit(Timeout timeout);
    void discard() noexcept;
    // Looks, and keeps what was decided. REQUIRES: mutex_, but in the destructor.
    void look();
    Outcome known() const;
    Outcome wait(Timeout timeout);
    bool is_done();
    bool cancel() noexcept;
    bool cancel_now() noexcept;
    Frame result(Timeout timeout);
    std::string workers_text() const;
    [[noreturn]] void throw_outcome(Outcome outcome) const;
    [[noreturn]] void throw_let_go() const;
    [[noreturn]] void throw_moved() const;
    int fileno();
    std::unique_ptr<api::WaitRound> begin_wait() override;
    // An answer that came is copied, and waits here for result().
    void make_room() noexcept override;
    bool deadline_passed() const;

    const std::shared_ptr<Client::Impl> client;
    const Client::Impl::Seat seat;
    const std::uint64_t owner;  // another than the segment's: begun before a fork
    const sync::Held held;
    std::vector<Shape> shapes;  // of the inputs, while loaned
    std::atomic<Phase> phase{Phase::loaned};
    Outcome outcome = Outcome::timed_out;  // once the phase is failed
    std::int64_t deadline_ns = 0;          // monotonic; 0: none
    std::string error;
    bool has_moved = false;  // the name leads to other memory: nobody will answer
    bool was_given = false;  // result() gave the answer out
    std::weak_ptr<const Frame::Impl> frame;

 private:
    class Round;
    class KeptAnswer;
    void give_slot_back(Phase then) noexcept;
    void decide(Outcome what);
    void abandon(Outcome what);
    Outcome outcome_of_silence() const;
    std::shared_ptr<Frame::Impl> made_answer();
    void copy_answer(Frame::Impl& answer);

    // Guards what was decided; never held over a sleep. Not taken in a forked child, whose call
    // this is not.
    std::mutex mutex_;
    std::shared_ptr<Frame::Impl> copied_;  // the answer, while nobody asked for it
    std::int64_t settled_ns_ = 0;
    std::unique_ptr<api::HandleBell> bell_;  // under api::bells_mutex()
    std::uint32_t bell_process_ = 0;
};

}  // namespace ndshare
