// api/subscriber.h: what a Subscriber handle is behind the public header. It is attached to the
// memory that its name leads to, or to none, and follows the name by itself.
// Threads: any; what they take from the stream goes to one cursor, under a mutex that is never
// held over a sleep.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "api/awaited.h"
#include "api/bell.h"
#include "api/fork_mutex.h"
#include "api/frame.h"
#include "api/gate.h"
#include "api/stream_memory.h"
#include "ndshare/stream.hpp"
#include "platform/folder_watch.h"
#include "platform/poll_set.h"
#include "sync/patience.h"

namespace ndshare {

struct Subscriber::Impl final : api::Awaited {
    Impl(std::string user_name, std::string whole_name, const SubscriberOptions& options);
    ~Impl() override;

    // ---- constant after construction ------------------------------------------------------------
    const std::shared_ptr<const std::string> name;  // the user's
    const std::string full_name;
    const SubscriberOptions options;

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
    void close() noexcept;

    // ---- steps ----------------------------------------------------------------------------------
    enum class News { frame, nothing, ended };
    struct Step {
        News news = News::nothing;
        std::shared_ptr<const Frame::Impl> frame;
        // Where it looked, unless there was a frame; nullptr: there is no stream.
        std::shared_ptr<const api::StreamMemory> memory;
        std::uint64_t latest = 0;  // its word before the look
    };
    // What was taken is not wanted: it comes again, unless later ones were taken meanwhile.
    void give_back(const Step& step);
    // Takes what is there; attaches and moves on to newer memory where that is needed. attach:
    // false: only look where it is attached already.
    Step step(bool attach);
    // Up to count frames into out, without waiting.
    std::size_t take_many(std::span<std::byte> out, std::size_t count);
    Step look_first(const sync::Patience& patience);
    // Until there is news or the time is over.
    Step wait_for_news(sync::Patience& patience);
    void sleep(const Step& step, sync::Patience& patience);
    void go_on(const char* operation);
    [[noreturn]] void throw_end(const char* operation) const;
    // The name leads elsewhere, though nobody said so: the next step moves on.
    void look_at_the_name();
    std::shared_ptr<const api::StreamMemory> memory();  // attaches where it can

    std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }
    std::uint64_t lag();

    int fileno();
    void refresh_bell();
    // Where somebody polls. has_frames: what was taken is not lost for a bell.
    void refresh_bell_after(bool has_frames);
    std::unique_ptr<api::WaitRound> begin_wait() override;

 private:
    class Round;
    void leave() noexcept;
    // REQUIRES of all below: mutex_ is held.
    bool try_attach();
    void detach() noexcept;
    Step take();
    Step step_inside(bool attach);
    bool should_move() const;
    // The same, asking the name now and then: nobody may have said that it moved.
    bool should_move_by_now();
    void ask_the_name();
    void require_expected(const api::StreamMemory& memory) const;
    bool is_ready();
    void count_lost(std::uint64_t cursor_before, std::uint64_t lost);
    // To the publishers, and to those who spin.
    void show_cursor() {
        lease_->set_cursor(cursor_);
        cursor_for_spin_.store(cursor_, std::memory_order_relaxed);
    }
    void tell_cursor();
    // Of a place that is pinned. Errors: CorruptBytes; bad_alloc, and the frame comes again.
    std::shared_ptr<const Frame::Impl> make_frame(const api::Ring::Place& place, bool copy);
    // The frame that was taken last comes again. REQUIRES: it is pinned still.
    void put_back(std::uint64_t seq);
    api::Ring::Outcome take_place(api::Ring::Place& place, std::uint64_t& lost);

    api::ForkMutex mutex_;
    std::shared_ptr<api::StreamMemory> memory_;
    std::shared_ptr<api::EndLease> lease_;
    std::uint64_t cursor_ = 0;
    std::atomic<std::uint64_t> cursor_for_spin_{0};  // a copy
    bool has_cursor_ = false;                        // it has been in some memory of this name
    std::uint64_t before_us_ = 0;  // of a newcomer, until it took: the newest when it came
    bool end_was_told_ = false;    // of this memory
    bool name_moved_ = false;
    std::int64_t name_looked_ns_ = 0;
    std::atomic<std::uint64_t> lost_{0};

    // Under api::bells_mutex(), which is taken after mutex_.
    struct Poll {
        platform::PollSet set;
        api::HandleBell bell;
        platform::FolderWatch names;
        bool watching_names = false;
        std::uint32_t process = 0;
    };
    std::unique_ptr<Poll> poll_;
    std::atomic<bool> has_poll_{false};
};

}  // namespace ndshare
