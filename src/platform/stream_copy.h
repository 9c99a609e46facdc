// platform/stream_copy.h: copying into memory that another process will read: past the cache where
// it is larger than the cache, the CPU can, and that is the faster way. Which is faster this
// process measures, with every so many copies (copy_choice.h). Threads: any; a StreamCopy one.
// Blocks: no.
#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace ndshare::platform {

struct CopyLesson;

// One copy, in pieces.
class StreamCopy {
 public:
    // bytes: of all pieces together. working_set_bytes: what is written in turn before these bytes
    // are written again.
    StreamCopy(std::size_t bytes, std::size_t working_set_bytes) noexcept;
    StreamCopy(const StreamCopy&) = delete;

    // As memcpy. The stores are visible to whoever sees a later locked instruction or release fence
    // of this thread: it ends with a store fence.
    void piece(std::byte* out, const std::byte* in, std::size_t bytes) const noexcept;

    // All was copied, to begin and after it, where it still is. Without this it teaches nothing.
    void finish(const std::byte* begin) noexcept;

 private:
    std::size_t bytes_, run_bytes_ = 0;
    CopyLesson* lesson_ = nullptr;  // none: too small to differ
    std::unique_lock<std::mutex> learning_;
    bool is_past_ = false, is_measured_ = false;
    std::int64_t begin_ns_ = 0;
};

// In one piece.
void stream_copy(std::byte* out, const std::byte* in, std::size_t bytes,
                 std::size_t working_set_bytes) noexcept;

}  // namespace ndshare::platform
