// soak/raw_segment.h: a segment as docs/FORMAT.md describes it, read from a read-only mapping by
// a program that knows that page and nothing else: no row, no lock, none of src/.
// Threads: one. Processes: any. Blocks: no.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace ndshare::soak {

class RawSegment {
 public:
    static constexpr std::size_t kRows = 248, kBells = 128, kEnds = 256;
    static constexpr std::size_t kControlBytes = 53248;

    // nullptr: the name leads nowhere at the moment.
    static std::unique_ptr<RawSegment> map(const std::string& path);
    ~RawSegment();
    RawSegment(const RawSegment&) = delete;

    // Offsets from the begin of the control region.
    std::uint64_t u64(std::size_t offset) const { return load<std::uint64_t>(offset); }
    std::uint32_t u32(std::size_t offset) const { return load<std::uint32_t>(offset); }
    bool is_zero(std::size_t begin, std::size_t end) const;
    std::span<const std::byte> pool(std::size_t offset, std::size_t bytes) const {
        return {base_ + data_offset_ + offset, bytes};
    }

    std::uint32_t kind() const { return kind_; }
    std::uint64_t generation() const { return generation_; }
    std::size_t slots() const { return slots_; }
    std::size_t itemsize() const { return itemsize_; }  // streams: bytes of a slot
    // Streams.
    std::size_t history_count() const;
    std::size_t history(std::size_t k) const { return kControlBytes + 8 * k; }
    std::size_t slot_line(std::size_t slot) const;
    std::size_t end(std::size_t index) const;
    // Services.
    std::size_t state(std::size_t slot) const { return kControlBytes + 128 + 8 * slot; }
    std::size_t request_line(std::size_t slot) const;

    static std::size_t row(std::size_t index) { return 512 + 64 * index; }
    static std::size_t bell(std::size_t index) { return 16384 + 32 * index; }
    // The kernel's answer, whatever the words say.
    bool is_row_alive(std::size_t index) const;

 private:
    RawSegment(int fd, const std::byte* base, std::size_t bytes);
    template <class T>
    T load(std::size_t offset) const {
        const auto* at = reinterpret_cast<const T*>(base_ + control_offset_ + offset);
        return __atomic_load_n(at, __ATOMIC_SEQ_CST);
    }
    int fd_;
    const std::byte* base_;
    std::size_t bytes_, data_offset_ = 0, control_offset_ = 0, itemsize_ = 0, slots_ = 0;
    std::uint32_t kind_ = 0;
    std::uint64_t generation_ = 0;
};

}  // namespace ndshare::soak
