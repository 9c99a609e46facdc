// api/handle.h: what an Array handle is behind the public header. Shared by the files that make up
// its verbs: array.cpp, attrs.cpp, wait.cpp.
// Threads: any. A Use keeps the segment through one operation, so close() may come at any time.
#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "api/awaited.h"
#include "api/bell.h"
#include "api/gate.h"
#include "api/segment.h"
#include "ndshare/array.hpp"
#include "sync/patience.h"
#include "sync/version.h"

namespace ndshare {

using ArrayVersion = sync::Version<sync::Ground>;

struct Array::Impl final : api::Awaited {
    Impl(std::shared_ptr<api::Segment> segment, std::string name, bool writeable, Timeout spin);
    ~Impl() override;

    // ---- constant after construction ------------------------------------------------------------
    const std::string name;  // the user's
    std::string full_name;
    Spec spec;
    std::size_t nbytes = 0;
    std::uint64_t generation = 0;
    const bool writeable;
    bool persistent = false;
    std::byte* bytes = nullptr;  // this handle's mapping: read-only or writeable

    // ---- changing -------------------------------------------------------------------------------
    sync::SpinBudget spin;
    // What was read, written or waited for. Relaxed: one handle, one reader (two share a cursor).
    std::atomic<std::uint64_t> seen{0};
    void saw(std::uint64_t version) noexcept;

    // ---- operations -----------------------------------------------------------------------------
    // Keeps the segment for one operation. Throws Error(closed).
    class Use {
     public:
        Use(Impl& impl, const char* operation);
        explicit Use(Impl& impl);  // REQUIRES: enter() said yes
        ~Use() { impl_.leave(); }
        Use(const Use&) = delete;
        api::Segment& segment() const { return *impl_.segment_; }
        std::shared_ptr<api::Segment> share() const { return impl_.segment_; }
        ArrayVersion version() const { return {segment().control().words(), segment().ground()}; }

     private:
        Impl& impl_;
    };
    bool closed() const noexcept { return gate_.closed(); }
    void close() noexcept;

    // Between the slices of a wait. check_name: also ask the book whether the name moved on.
    void go_on(const char* operation, bool check_name);
    bool is_replaced(api::Segment& segment) const;
    void require_current(const char* operation, api::Segment& segment) const;
    void require_writeable(const char* operation) const;
    // Would wait() return or throw?
    bool is_ready(const Use& use);
    std::unique_ptr<api::WaitRound> begin_wait() override;

    // fileno(): made at the first call, again in a forked child.
    int bell(const Use& use);
    // The cursor moved: readable exactly while there is news.
    void refresh_bell();

 private:
    class Round;
    bool enter() noexcept;
    void leave() noexcept;

    std::shared_ptr<api::Segment> segment_;
    api::Gate gate_;  // the last one out lets segment_ go

    api::HandleBell bell_;  // under api::bells_mutex()
    std::atomic<bool> has_bell_{false};
};

struct Array::Write::State {
    std::shared_ptr<Impl> impl;
    std::shared_ptr<api::Segment> segment;
    std::uint64_t owner = 0;  // another one than the segment's: begun before a fork
    bool open = true;
    bool healing = false;  // the array was incomplete before
};

}  // namespace ndshare
