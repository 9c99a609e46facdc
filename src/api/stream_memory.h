// api/stream_memory.h: a stream's segment as this process holds it, and a place (an end) in it.
// Threads: any. Processes: any. Blocks: no.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "api/book.h"
#include "api/fork_mutex.h"
#include "api/segment.h"
#include "layout/stream.h"
#include "ndshare/stream.hpp"
#include "sync/ends.h"
#include "sync/slot_ring.h"

namespace ndshare::api {

using Ring = sync::SlotRing<sync::Ground>;
using StreamEnds = sync::Ends<sync::Ground>;

// The public words for what a slot holds, and back. Throws Invalid.
Fields to_fields(const std::vector<layout::Field>& fields);
layout::Field to_field(const std::string& name, const Spec& spec);
layout::SlotPlan to_slot_plan(const PublisherOptions& options);
bool has_fields(const PublisherOptions& options);
std::string fields_to_string(const Fields& fields);
// Throws Invalid unless text is empty or looks like a JSON object that fits a frame.
void require_frame_attrs(std::string_view text);
// "" means the only one. Throws Invalid.
std::size_t index_of(const Fields& fields, std::string_view name);

struct StreamMemory {
    StreamMemory(std::shared_ptr<Segment> held, bool writeable);
    Ring ring() const { return {control, segment->ground()}; }
    StreamEnds ends() const { return {control, segment->ground()}; }
    std::byte* slot(std::size_t index) const { return pool + index * plan.slot_bytes; }
    std::uint32_t state() const {
        return sync::Atomics::load_acquire(control.words().state);  // SYNC(state): a hint
    }
    std::uint64_t generation() const { return segment->description().fields.generation; }

    const std::shared_ptr<Segment> segment;
    const layout::SlotPlan plan;
    const Fields fields;
    const layout::StreamControl control;
    std::byte* const pool;  // writeable, or mapped for reading only
};

// Who gave a frame its bytes, and gets the pin back.
class FrameOrigin {
 public:
    virtual ~FrameOrigin() = default;
    virtual void unpin(std::size_t slot) noexcept = 0;
    virtual const Fields& fields() const = 0;
    virtual const std::string& name() const = 0;  // the user's
    virtual std::uint64_t generation() const = 0;
    virtual bool is_object() const = 0;
};

// A place in a stream, from its taking to the last frame that was got through it. fork(): a
// subscriber's child gets one of its own with the same pins and cursor, under the same object; a
// publisher's child has none (is_here() says no) until it takes one.
class EndLease final : public ForkPart, public FrameOrigin {
 public:
    // stream_name: the user's, for the frames that are got through it.
    EndLease(std::shared_ptr<const StreamMemory> memory, std::uint32_t kind,
             std::shared_ptr<const std::string> stream_name = {});
    ~EndLease() override;
    EndLease(const EndLease&) = delete;

    const StreamMemory& memory() const { return *memory_; }
    const std::shared_ptr<const StreamMemory>& share_memory() const { return memory_; }
    std::size_t index() const { return index_; }
    std::uint64_t owner() const { return owner_; }
    bool is_here() const { return owner_ == memory_->segment->owner(); }
    layout::End& words() const { return memory_->control.end(index_); }
    void set_kind(std::uint32_t kind);
    // A forked child's copy holds pins only, until its handle is used: then it takes part again.
    bool is_dormant() const { return dormant_; }
    void wake_up(std::uint64_t cursor);
    void set_cursor(std::uint64_t cursor) {
        // SYNC(cursor): unpin(), which follows, is what a waiting publisher hears of.
        sync::Atomics::store_release(words().cursor, cursor);
    }
    void set_count(std::uint64_t count) {
        // Relaxed: a figure for people.
        sync::Atomics::store_relaxed(words().count, count);
    }
    void unpin(std::size_t slot) noexcept override;
    const Fields& fields() const override { return memory_->fields; }
    const std::string& name() const override { return *name_; }
    std::uint64_t generation() const override { return memory_->generation(); }
    bool is_object() const override { return memory_->plan.is_object(); }
    // Of an end of kind refs: the same slot may be taken several times, each with its unpin().
    Ring::Exact take_exactly(std::uint64_t seq, Ring::Place& place);
    // How many slots this end has pinned.
    std::size_t pin_count() const;

    bool prepare_fork(std::uint64_t child_owner) noexcept override;
    void finish_fork_in_child() noexcept override;

 private:
    std::shared_ptr<const StreamMemory> memory_;
    std::shared_ptr<const std::string> name_;
    const bool is_of_refs_;
    std::uint32_t kind_;  // of the handle's, which changes and reads it in one thread at a time
    bool dormant_ = false;
    std::size_t index_ = 0, child_index_ = 0;
    std::uint64_t owner_ = 0, child_owner_ = 0;
    ForkMutex refs_mutex_;
    struct Taken {
        std::uint64_t seq = 0;
        std::size_t count = 0;
    };
    std::map<std::size_t, Taken> refs_;  // by slot; kind refs only
};

// Attaches what a name leads to. nullptr: it has just gone. Errors: Invalid (it is no stream).
std::shared_ptr<StreamMemory> attach_stream(Found&& found, bool writeable);

}  // namespace ndshare::api
