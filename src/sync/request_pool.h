// sync/request_pool.h: a service's calls: claimed, submitted, taken, answered, collected.
//
// Invariants: (1) a slot's state changes by CAS from the exact word, or by a store of the one who
// has it alone (FILLING). (2) A slot is FREE again only after its client has collected, or after
// its worker has let go of it, or after the kernel called them dead: nobody writes into a call that
// is not the one he was given. (3) A ticket is used once. (4) Whoever changes a word that somebody
// sleeps on wakes him: the flag is in the word.
// Why: docs/design/services.md. Threads: any. Processes: any. Blocks: no, nothing here waits.
// A crash leaves FILLING or RUNNING (or an uncollected answer), which settle() resolves.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/check.h"
#include "base/fault.h"
#include "layout/service.h"
#include "sync/batch_choice.h"
#include "sync/ends.h"
#include "sync/request_words.h"

namespace ndshare::sync {

// A slot and the state in which somebody has it.
struct Held {
    std::size_t slot = 0;
    std::uint64_t word = 0;
};

struct Submission {
    std::uint64_t order = 0, deadline_ns = 0, submitted_ns = 0, shape_key = 0;
    std::uint32_t end = 0;
    std::int32_t priority = 0;
};

template <class Ground>
class RequestPool {
 public:
    RequestPool(layout::ServiceControl control, Ground& ground)
        : control_(control), ground_(ground), ends_(control, ground) {}

    // SYNC(request): sees what was done before the step that led to this word.
    std::uint64_t look(std::size_t slot) const {
        return ground_.load_acquire(control_.state(slot));
    }

    // ---- clients --------------------------------------------------------------------------------
    // The lowest free slot, to be filled by me.
    std::optional<Held> claim(std::uint64_t me) {
        for (std::size_t slot = 0; slot < control_.slot_count(); ++slot) {
            // Relaxed: the CAS decides; before a sleep need_room() has a fence.
            std::uint64_t seen = ground_.load_relaxed(control_.state(slot));
            if (request_kind(seen) != RequestKind::free) continue;
            const std::uint64_t ticket = (ticket_of(seen) + 1) << kTicketShift;
            const std::uint64_t mine = request_with(ticket, RequestKind::filling, me);
            if (!ground_.compare_exchange(control_.state(slot), seen, mine)) continue;
            NDSHARE_FAULT_POINT_QUIET("pool.after_claim");
            return Held{slot, mine};
        }
        return std::nullopt;
    }

    // Filled after all not.
    void give_back(const Held& held) {
        // SYNC(room): before the look whether somebody waits for a slot.
        ground_.store_seq_cst(control_.state(held.slot),
                              request_in(held.word & kTicketMask, RequestKind::free));
        ends_.tell_room();
    }

    // REQUIRES: the inputs are in the slot. The word from now on, until somebody takes it.
    std::uint64_t submit(std::uint64_t me, const Held& held, const Submission& call) {
        layout::RequestLine& line = control_.line(held.slot);
        // Relaxed, all of them: published by QUEUED.
        ground_.store_relaxed(line.client, me);
        ground_.store_relaxed(line.order, call.order);
        ground_.store_relaxed(line.deadline_ns, call.deadline_ns);
        ground_.store_relaxed(line.submitted_ns, call.submitted_ns);
        ground_.store_relaxed(line.shape_key, call.shape_key);
        ground_.store_relaxed(line.end, call.end);
        ground_.store_relaxed(line.priority, static_cast<std::uint32_t>(call.priority));
        ground_.store_relaxed(line.error_bytes, std::uint32_t{0});
        const std::uint64_t queued = request_in(held.word, RequestKind::queued);
        NDSHARE_FAULT_POINT_QUIET("pool.before_queued");
        // SYNC(request), and SYNC(requests): before the look whether a worker sleeps.
        ground_.store_seq_cst(control_.state(held.slot), queued);
        NDSHARE_FAULT_POINT_QUIET("pool.after_queued");
        tell_workers();
        return queued;
    }

    // The tag of a client's next call; last: of its former one.
    std::uint64_t next_order(std::uint64_t last) const {
        // Relaxed: an older time favours this call a little.
        return std::max(ground_.load_relaxed(control_.service().time), last + 1);
    }

    // So that the next change of this call wakes. nullopt: it is over. Else what the futex holds.
    std::optional<std::uint32_t> announce_sleep(const Held& held) {
        std::uint64_t seen = look(held.slot);
        if (!is_this(seen, held) || is_over(seen)) return std::nullopt;
        const std::uint64_t with = seen | kRequestSleeper;
        // SYNC(request-sleeper): one word: whoever changes it sees the flag. If it has changed
        // already, the sleep is refused, as it expects the flag beside the older state.
        (void)ground_.compare_exchange_seq_cst(control_.state(held.slot), seen, with);
        return static_cast<std::uint32_t>(with);
    }

    // false: it is over already, there is something to collect.
    bool abandon(const Held& held) {
        std::uint64_t seen = look(held.slot);
        for (;;) {
            if (!is_this(seen, held)) return true;
            if (is_over(seen)) return false;
            const bool runs = request_kind(seen) == RequestKind::running;
            const std::uint64_t after =
                runs ? seen | kRequestAbandoned : request_in(seen, RequestKind::free);
            if (ground_.compare_exchange_seq_cst(control_.state(held.slot), seen, after)) {
                NDSHARE_FAULT_POINT_QUIET("pool.after_abandon");
                if (runs) return true;
                count(control_.service().abandoned);
                ends_.tell_room();
                return true;
            }
        }
    }

    // REQUIRES: it is over, and what was answered is read.
    void collect(const Held& held) {
        std::uint64_t seen = look(held.slot);
        if (!is_this(seen, held) || !is_over(seen)) return;
        NDSHARE_FAULT_POINT_QUIET("pool.before_free");
        // SYNC(request): whoever claims the slot comes after our reads. In vain when another thread
        // of this client was faster.
        (void)ground_.compare_exchange_seq_cst(control_.state(held.slot), seen,
                                               request_in(seen, RequestKind::free));
        ends_.tell_room();
    }

    // ---- workers --------------------------------------------------------------------------------
    // All that wait and can still be answered in time.
    void find_waiting(std::uint64_t now_ns, std::vector<WaitingCall>& out) {
        out.clear();
        for (std::size_t slot = 0; slot < control_.slot_count(); ++slot) {
            // SYNC(requests): after the flag of a worker that is about to sleep, or was woken:
            // calls whose clients found no flag are seen here, and told to the next worker.
            const std::uint64_t word = ground_.load_seq_cst(control_.state(slot));
            if (request_kind(word) != RequestKind::queued) continue;
            const layout::RequestLine& line = control_.line(slot);
            // Relaxed, all of them: written before QUEUED; if the word is another one by now, the
            // CAS that takes it fails.
            const std::uint64_t deadline = ground_.load_relaxed(line.deadline_ns);
            if (deadline != 0 && deadline <= now_ns) {
                expire(slot, word);
                continue;
            }
            out.push_back({slot, word, ground_.load_relaxed(line.order),
                           ground_.load_relaxed(line.submitted_ns),
                           ground_.load_relaxed(line.shape_key), deadline,
                           static_cast<std::int32_t>(ground_.load_relaxed(line.priority))});
        }
    }

    // Makes those of calls mine that nobody else took meanwhile; the others are thrown out, the
    // words of the rest are mine from now on. left: others were waiting beside them.
    void take(std::uint64_t me, std::vector<WaitingCall>& calls, bool left) {
        std::uint64_t time = 0;
        std::erase_if(calls, [&](WaitingCall& call) {
            std::uint64_t seen = call.word;
            for (;;) {
                const std::uint64_t mine =
                    request_with(seen, RequestKind::running, me) | (seen & kRequestSleeper);
                // SYNC(request)
                if (ground_.compare_exchange_seq_cst(control_.state(call.slot), seen, mine)) {
                    NDSHARE_FAULT_POINT_QUIET("pool.after_take");
                    call.word = mine;
                    time = std::max(time, call.order);
                    return false;
                }
                // Its client went to sleep: the same call.
                if (!same_hands(seen, call.word)) return true;
            }
        });
        auto& words = control_.service();
        std::uint64_t now = ground_.load_relaxed(words.time);
        while (now < time && !ground_.compare_exchange(words.time, now, time)) {
        }
        // Submitted while nobody was said to sleep; another one may be woken for it.
        if (left) pass_on();
    }

    // false: nobody waits for it any more.
    bool finish(const Held& held, RequestKind kind) {
        std::uint64_t seen = held.word;
        for (;;) {
            const bool abandoned = (seen & kRequestAbandoned) != 0;
            const RequestKind next = abandoned ? RequestKind::free : kind;
            NDSHARE_FAULT_POINT_QUIET("pool.before_answer");
            // SYNC(request): the client sees the results.
            if (ground_.compare_exchange_seq_cst(control_.state(held.slot), seen,
                                                 request_in(seen, next))) {
                NDSHARE_FAULT_POINT_QUIET("pool.after_answer");
                if (abandoned) count(control_.service().late);
                // SYNC(request-sleeper)
                if (!abandoned && (seen & kRequestSleeper) != 0) {
                    ground_.wake_all(control_.state(held.slot));
                }
                // SYNC(room): the slot is free, or its client has it collected.
                ends_.tell_room();
                return !abandoned;
            }
            if (!same_hands(seen, held.word)) {
                throw CorruptBytes("a call that this worker has is another's");
            }
        }
    }

    // A worker that has it will not answer: another one may, or the retries are over.
    void redeliver(const Held& held) {
        std::uint64_t seen = held.word;
        while (!hand_on(held.slot, seen)) {
            if (!same_hands(seen, held.word)) {
                throw CorruptBytes("a call that this worker has is another's");
            }
        }
    }

    // A worker that was woken, or may have been, goes without looking: another one may be asleep.
    // Whatever need_worker says: who woke this one has cleared it. SYNC(requests): one who does not
    // sleep yet has read the count before it was raised, or set the flag after it was cleared, and
    // then its look sees the call.
    void tell_another_worker() { ground_.wake_one(control_.service().requests); }

    // A worker's sleep: the count before its look, the flag, and the sleep on the count.
    std::uint32_t requests() const { return ground_.load_acquire(control_.service().requests); }
    // SYNC(requests): the flag first; a submission that did not see it changed the count before.
    void need_worker() { ground_.store_seq_cst(control_.service().need_worker, std::uint32_t{1}); }

    // ---- the dead -------------------------------------------------------------------------------
    // Resolves what a dead client or worker left in this slot. Asks the kernel.
    void settle(std::size_t slot) {
        std::uint64_t seen = look(slot);
        switch (request_kind(seen)) {
            case RequestKind::free:
                return;
            case RequestKind::filling:
                if (!holder_is_alive(seen)) (void)set_free(slot, seen);
                return;
            case RequestKind::running:
                if (holder_is_alive(seen)) return;
                if (!client_is_alive(slot)) {
                    (void)set_free(slot, seen);
                } else {
                    NDSHARE_FAULT_POINT_QUIET("pool.before_settle");
                    (void)hand_on(slot, seen);
                }
                return;
            default:  // waiting, or to be collected
                if (!client_is_alive(slot)) (void)set_free(slot, seen);
        }
    }
    void settle_all() {
        for (std::size_t slot = 0; slot < control_.slot_count(); ++slot) settle(slot);
    }

 private:
    static bool is_this(std::uint64_t word, const Held& held) {
        return ticket_of(word) == ticket_of(held.word);
    }
    void count(layout::Word64& word) {
        // Relaxed in effect: a figure for people.
        ground_.add_seq_cst(word, std::uint64_t{1});
    }

    bool holder_is_alive(std::uint64_t word) const {
        const std::size_t row = request_row(word);
        if (row >= layout::kRowCount) return false;  // damaged: nobody has it
        // SYNC(row-epoch)
        const std::uint64_t epoch = ground_.load_acquire(control_.common().row(row).epoch);
        return (epoch & kRequestEpochMask) == request_epoch(word) &&
               ground_.owner_is_alive(owner_word(row, epoch));
    }
    // Of the call that the word looked at before names: a later one has another word, and the CAS
    // that follows fails.
    bool client_is_alive(std::size_t slot) const {
        const std::uint64_t client = ground_.load_relaxed(control_.line(slot).client);
        return names_a_row(client) && ground_.owner_is_alive(client);
    }
    // false: seen is another word by now.
    bool set_free(std::size_t slot, std::uint64_t& seen) {
        // SYNC(request): also hands over what a dead one did.
        const bool is_free = ground_.compare_exchange_seq_cst(
            control_.state(slot), seen, request_in(seen & kTicketMask, RequestKind::free));
        ends_.tell_room();
        return is_free;
    }
    // RUNNING goes back to the others, or is over. false: seen is another word by now.
    bool hand_on(std::size_t slot, std::uint64_t& seen) {
        if ((seen & kRequestAbandoned) != 0) return set_free(slot, seen);
        auto& words = control_.service();
        // Relaxed: never changes.
        const bool again = tries_of(seen) <
                           std::min<std::uint64_t>(ground_.load_relaxed(words.retries), kTriesMask);
        const std::uint64_t after =
            again ? request_in(seen + (std::uint64_t{1} << kTriesShift), RequestKind::queued) |
                        (seen & kRequestSleeper)
                  : request_in(seen, RequestKind::died);
        if (!ground_.compare_exchange_seq_cst(control_.state(slot), seen, after)) return false;
        count(again ? words.redelivered : words.died);
        if (again) {
            tell_workers();
        } else {
            if ((seen & kRequestSleeper) != 0) ground_.wake_all(control_.state(slot));
            ends_.tell_room();
        }
        return true;
    }
    void expire(std::size_t slot, std::uint64_t word) {
        std::uint64_t seen = word;
        while (!ground_.compare_exchange_seq_cst(control_.state(slot), seen,
                                                 request_in(seen, RequestKind::expired))) {
            if (!same_hands(seen, word)) return;
        }
        count(control_.service().expired);
        if ((seen & kRequestSleeper) != 0) ground_.wake_all(control_.state(slot));
        ends_.tell_room();
    }
    void tell_workers() {
        // SYNC(requests): the count first, then the look at the flag.
        ground_.add_seq_cst(control_.service().requests, std::uint32_t{1});
        pass_on();
    }
    void pass_on() {
        auto& words = control_.service();
        if (ground_.load_seq_cst(words.need_worker) == 0) return;
        ground_.exchange_seq_cst(words.need_worker, std::uint32_t{0});
        // Once more: whoever set the flag and does not sleep yet shall not begin to.
        ground_.add_seq_cst(words.requests, std::uint32_t{1});
        NDSHARE_FAULT_POINT_QUIET("pool.before_wake");
        ground_.wake_one(words.requests);
    }

    layout::ServiceControl control_;
    Ground& ground_;
    Ends<Ground, layout::ServiceControl> ends_;
};

}  // namespace ndshare::sync
