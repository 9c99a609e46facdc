// sync/attrs_cell.h: a small text that changes whole or not at all. Two places; the count's parity
// says which holds; a writer fills the other one and then raises the count. Killed anywhere, it
// leaves the old text. Threads: read any; write under sync/local_lock.h and the attrs lock word.
// Processes: any. Blocks: no (read retries while changes overtake it).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/fault.h"
#include "layout/control.h"
#include "sync/racy_copy.h"

namespace ndshare::sync {

template <class Ground>
class AttrsCell {
 public:
    AttrsCell(layout::Control control, Ground& ground) : control_(control), ground_(ground) {}

    // REQUIRES: the attrs lock is held (relaxed: only its holder changes the count).
    bool was_ever_set() const { return ground_.load_relaxed(control_.words().attrs) != 0; }

    // Empty while none was ever set. Throws CorruptBytes for a length that cannot be.
    std::string read() const {
        for (;;) {
            // SYNC(attrs-text): sees the text that the count stands for.
            const std::uint64_t count = ground_.load_acquire(control_.words().attrs);
            if (count == 0) return {};
            const std::size_t place = count & 1;
            const std::uint32_t bytes =
                ground_.load_relaxed(control_.words().attrs_bytes[place]);  // validated below
            std::string text;
            if (bytes <= layout::kAttrsCapacityBytes) {
                text.resize(bytes);
                racy_copy(reinterpret_cast<std::byte*>(text.data()), control_.attrs_text(place),
                          bytes);
            }
            // SYNC(attrs-reuse): a place is only written again after the count has moved on.
            ground_.fence_acquire();
            if (ground_.load_relaxed(control_.words().attrs) != count) continue;
            if (bytes > layout::kAttrsCapacityBytes) {
                throw CorruptBytes("its attributes have an impossible length");
            }
            return text;
        }
    }

    // REQUIRES: the attrs lock is held, both places are reserved memory, the text fits.
    void write(std::string_view text) {
        const std::uint64_t next = ground_.load_relaxed(control_.words().attrs) + 1;  // ours alone
        const std::size_t place = next & 1;
        // SYNC(attrs-reuse): the count that freed this place comes before the bytes put there.
        ground_.fence_release();
        NDSHARE_FAULT_POINT("attrs.before_text");
        ground_.store_relaxed(control_.words().attrs_bytes[place],
                              static_cast<std::uint32_t>(text.size()));
        std::byte* out = control_.attrs_text(place);
        for (std::size_t k = 0; k < text.size(); ++k) out[k] = static_cast<std::byte>(text[k]);
        NDSHARE_FAULT_POINT("attrs.before_count");
        // SYNC(attrs-text): from here the new text holds.
        ground_.store_release(control_.words().attrs, next);
        NDSHARE_FAULT_POINT("attrs.after_count");
    }

 private:
    layout::Control control_;
    Ground& ground_;
};

}  // namespace ndshare::sync
