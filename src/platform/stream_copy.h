// platform/stream_copy.h: copying into memory that is larger than the cache and will be read by
// another process: past the cache, where the CPU can. Threads: any. Blocks: no.
#pragma once
#include <cstddef>

namespace ndshare::platform {

// As memcpy. working_set_bytes: what is written in turn before these bytes are written again.
// The stores are visible to whoever sees a later locked instruction or release fence of this
// thread: it ends with a store fence.
void stream_copy(std::byte* out, const std::byte* in, std::size_t bytes,
                 std::size_t working_set_bytes) noexcept;

}  // namespace ndshare::platform
