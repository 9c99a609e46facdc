// soak/audit.h: what holds of one segment's words at every moment, and what at rest.
// Threads: one. Processes: any. Blocks: no. Throws Wrong.
#pragma once
#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "ledger.h"
#include "raw_segment.h"

namespace ndshare::soak {

struct Wrong : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Audit {
 public:
    // The segment outlives it.
    explicit Audit(const RawSegment& segment);
    void look(const Ledger& ledger);
    // REQUIRES: one process holds it, and does nothing.
    void look_at_rest() const;

 private:
    void look_at_control();
    void look_at_rows();
    void look_at_bells() const;
    void look_at_array() const;
    void look_at_latest();
    void look_at_slots() const;
    void look_at_frame(std::size_t slot) const;
    void look_at_history() const;
    void look_at_ends();
    void look_at_pins(const Ledger& ledger) const;
    void look_at_calls();
    // Of a lock or owner word: 0, or a row and an epoch that the row has had.
    void require_owner(std::uint64_t word, const char* what) const;
    std::uint64_t pins_of(std::size_t end) const { return segment_.u64(segment_.end(end) + 32); }

    const RawSegment& segment_;
    std::uint64_t version_ = 0, attrs_ = 0, latest_ = 0, row_mark_ = 0, end_mark_ = 0;
    std::array<std::uint64_t, RawSegment::kRows> epochs_{};
    std::vector<std::uint64_t> states_;
    std::array<std::uint64_t, 5> counts_{};
};

}  // namespace ndshare::soak
