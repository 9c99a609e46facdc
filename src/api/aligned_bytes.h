// api/aligned_bytes.h: private memory where a slot's would be: beginning at a cache line, as a
// slot's fields do. Threads: any.
#pragma once
#include <cstddef>
#include <memory>
#include <new>

namespace ndshare::api {

inline constexpr std::align_val_t kSlotAlignment{64};

struct FreeAligned {
    void operator()(std::byte* bytes) const noexcept { ::operator delete[](bytes, kSlotAlignment); }
};
using AlignedBytes = std::unique_ptr<std::byte[], FreeAligned>;

inline AlignedBytes make_aligned(std::size_t bytes) {
    return AlignedBytes(static_cast<std::byte*>(::operator new[](bytes, kSlotAlignment)));
}

}  // namespace ndshare::api
