#include "audit.h"

#include <bit>
#include <cstring>
#include <map>

#include "payload.h"

namespace ndshare::soak {
namespace {

constexpr std::size_t kPayload = 1024;
constexpr std::uint64_t kSeqMask = (std::uint64_t{1} << 48) - 1;

// Offsets in the control region, as docs/FORMAT.md lists them.
enum : std::size_t {
    kVersion = 0,
    kLock = 8,
    kState = 28,
    kLatest = 32,
    kAttrs = 64,
    kAttrsLock = 72,
    kAttrsBytes = 80,
    kRowMark = 128,
    kBellMark = 132,
    kEndMark = 204,
};
enum SlotKind : std::uint64_t { kFree, kBusy, kReady, kPublished };
enum CallKind : std::uint64_t { kCallFree, kFilling, kQueued, kRunning, kAnswered };

std::string hex(std::uint64_t word) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(word));
    return text;
}

void require(bool good, const std::string& what) {
    if (!good) throw Wrong(what);
}

void grow(std::uint64_t& last, std::uint64_t now, const char* what) {
    if (now < last)
        throw Wrong(std::string(what) + " went back from " + hex(last) + " to " + hex(now));
    last = now;
}

std::uint64_t seq_of(std::uint64_t word) { return word >> 16; }
std::int64_t ahead(std::uint64_t a, std::uint64_t b) {
    return static_cast<std::int64_t>((a - b) << 16) >> 16;
}

}  // namespace

Audit::Audit(const RawSegment& segment) : segment_(segment) {
    if (segment_.kind() == 3) states_.resize(segment_.slots());
}

void Audit::look(const Ledger& ledger) {
    look_at_control();
    look_at_rows();
    look_at_bells();
    if (segment_.kind() == 1) return look_at_array();
    look_at_ends();
    if (segment_.kind() == 3) return look_at_calls();
    look_at_latest();
    look_at_slots();
    look_at_history();
    look_at_pins(ledger);
}

void Audit::require_owner(std::uint64_t word, const char* what) const {
    const std::uint64_t row = word & 0xffff;
    require(row <= RawSegment::kRows, std::string(what) + " names no row: " + hex(word));
    if (row == 0) return;
    // A row's epoch is raised before a word is written with it, and never goes back.
    const std::uint64_t epoch = segment_.u64(RawSegment::row(row - 1));
    require(word >> 17 <= epoch, std::string(what) + " has an epoch that its row never had: " +
                                     hex(word) + ", row " + hex(epoch));
}

void Audit::look_at_control() {
    grow(version_, segment_.u64(kVersion), "version");
    grow(attrs_, segment_.u64(kAttrs), "count of attributes");
    grow(row_mark_, segment_.u32(kRowMark), "mark of rows");
    require(row_mark_ <= RawSegment::kRows, "mark of rows out of range");
    require(segment_.u32(kBellMark) <= RawSegment::kBells, "mark of bells out of range");
    require(segment_.u32(kState) >= 1 && segment_.u32(kState) <= 4, "state of a live name");
    require_owner(segment_.u64(kLock), "lock");
    require_owner(segment_.u64(kAttrsLock), "lock of attributes");
    require_owner(segment_.u64(136), "named");
    require(segment_.u32(kAttrsBytes) <= 16384 && segment_.u32(kAttrsBytes + 4) <= 16384,
            "length of attributes out of range");
    for (const auto& [begin, end] :
         {std::pair<std::size_t, std::size_t>{48, 64}, {88, 128}, {144, 192}, {216, 512}}) {
        require(segment_.is_zero(begin, end), "reserved bytes are not zero, from " + hex(begin));
    }
}

void Audit::look_at_rows() {
    for (std::size_t row = 0; row < RawSegment::kRows; ++row) {
        const std::size_t at = RawSegment::row(row);
        const std::uint64_t epoch = segment_.u64(at);
        // The mark is raised before the row is used.
        if (epoch != 0) {
            require(segment_.u32(kRowMark) > row, "a row above the mark was used");
        } else if (row >= row_mark_) {
            break;
        }
        grow(epochs_[row], epoch, "epoch of a row");
        require(segment_.is_zero(at + 24, at + 64), "reserved bytes of a row");
    }
}

void Audit::look_at_bells() const {
    for (std::size_t bell = 0; bell < RawSegment::kBells; ++bell) {
        const std::size_t at = RawSegment::bell(bell);
        const std::uint64_t owner = segment_.u64(at);
        if (owner == 0 && bell >= segment_.u32(kBellMark)) break;
        require_owner(owner, "a bell's owner");
        require(segment_.u32(at + 8) <= 1, "a bell is neither armed nor not");
        require(segment_.is_zero(at + 24, at + 32), "reserved bytes of a bell");
    }
}

void Audit::look_at_array() const {
    for (int attempt = 0; attempt < 3; ++attempt) {
        const std::uint64_t before = segment_.u64(kVersion);
        if (before % 2 != 0) continue;  // a write runs, or was left
        std::byte copy[kPayload];
        std::memcpy(copy, segment_.pool(0, kPayload).data(), kPayload);
        std::atomic_thread_fence(std::memory_order_acquire);
        if (segment_.u64(kVersion) != before) continue;
        require(proven(copy).has_value(), "torn: an array under one even version");
        return;
    }
}

void Audit::look_at_latest() {
    const std::uint64_t latest = segment_.u64(kLatest);
    require(ahead(seq_of(latest), seq_of(latest_)) >= 0 || latest_ == 0,
            "latest went back from " + hex(latest_) + " to " + hex(latest));
    latest_ = latest;
    const std::uint64_t slot = latest & 0x3fff;
    require(slot <= segment_.slots(), "latest is in no slot: " + hex(latest));
    if (slot == 0) return;
    const std::uint64_t word = segment_.u64(segment_.slot_line(slot - 1));
    if (segment_.u64(kLatest) != latest) return;
    // It was the newest all the time: its slot is nobody's to claim.
    const std::uint64_t kind = word & 3;
    require((kind == kReady || kind == kPublished) && seq_of(word) == seq_of(latest),
            "the slot of latest shows another frame: " + hex(latest) + ", slot " + hex(word));
}

void Audit::look_at_slots() const {
    std::map<std::uint64_t, std::size_t> published;
    for (std::size_t slot = 0; slot < segment_.slots(); ++slot) {
        const std::uint64_t word = segment_.u64(segment_.slot_line(slot));
        const std::uint64_t newest = seq_of(segment_.u64(kLatest));
        const std::uint64_t kind = word & 3;
        if (kind == kFree) require(word == 0, "a free slot says more: " + hex(word));
        if (kind == kBusy || kind == kReady) {
            const std::uint64_t row = word >> 8 & 0xff;
            require(row < RawSegment::kRows, "a slot is in no row's hands: " + hex(word));
            require(segment_.u64(RawSegment::row(row)) != 0, "a slot is in a fresh row's hands");
        }
        if (kind == kReady) {
            require(ahead(seq_of(word), newest) <= 1, "a frame is ready too early: " + hex(word));
        }
        if (kind == kPublished) {
            require((word >> 2 & 0x3fff) == 0, "a published slot has an owner: " + hex(word));
            require(ahead(seq_of(word), newest) <= 0, "a frame beyond latest: " + hex(word));
            const auto [other, is_new] = published.emplace(seq_of(word), slot);
            require(is_new || other->second == slot, "a number is in two slots: " + hex(word));
            look_at_frame(slot);
        }
    }
}

void Audit::look_at_frame(std::size_t slot) const {
    const std::size_t line = segment_.slot_line(slot);
    const std::uint64_t before = segment_.u64(line);
    if ((before & 3) != kPublished) return;
    std::byte copy[kPayload];
    std::memcpy(copy, segment_.pool(slot * segment_.itemsize(), kPayload).data(), kPayload);
    const std::uint64_t seq = segment_.u64(line + 8);
    const std::uint32_t attrs_bytes = segment_.u32(line + 32);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (segment_.u64(line) != before) return;
    require(proven(copy).has_value(), "torn: a published frame " + hex(before));
    require((seq & kSeqMask) == seq_of(before), "a frame's line has another number");
    require(attrs_bytes <= 1024, "length of a frame's attributes");
}

void Audit::look_at_history() const {
    const std::size_t count = segment_.history_count();
    for (std::size_t k = 0; k < count; ++k) {
        const std::uint64_t entry = segment_.u64(segment_.history(k));
        if (entry == 0) continue;
        const std::uint64_t newest = seq_of(segment_.u64(kLatest));
        require((entry & 0xffff) <= segment_.slots(), "history leads to no slot: " + hex(entry));
        require(seq_of(entry) % count == k, "history is at another place: " + hex(entry));
        require(ahead(seq_of(entry), newest) <= 0, "history is beyond latest: " + hex(entry));
    }
}

void Audit::look_at_ends() {
    for (std::size_t index = 0; index < RawSegment::kEnds; ++index) {
        const std::size_t at = segment_.end(index);
        const std::uint64_t owner = segment_.u64(at);
        const std::uint32_t kind = segment_.u32(at + 16);
        require((owner >> 16 & 1) == 0, "an end's owner has a sleeper: " + hex(owner));
        require_owner(owner, "an end's owner");
        require(kind <= 7, "kind of an end: " + hex(kind));
        if (kind != 0) require(segment_.u32(kEndMark) > index, "an end above the mark is used");
        if (segment_.kind() == 3) require(kind == 0 || kind >= 6, "a subscriber of a service");
        if (segment_.kind() == 2) require(kind <= 5, "a worker of a stream");
    }
    grow(end_mark_, segment_.u32(kEndMark), "mark of ends");
    require(end_mark_ <= RawSegment::kEnds, "mark of ends out of range");
}

void Audit::look_at_pins(const Ledger& ledger) const {
    const std::uint64_t all = (std::uint64_t{1} << segment_.slots()) - 1;
    for (std::size_t index = 0; index < end_mark_; ++index) {
        const std::size_t at = segment_.end(index);
        const std::uint64_t owner = segment_.u64(at);
        const std::uint64_t pins = pins_of(index);
        require((pins & ~all) == 0, "pins of slots that are not there: " + hex(pins));
        // An idle end with pins is being made for the child of a fork.
        if (owner == 0 || pins == 0 || segment_.u32(at + 16) == 0) continue;
        // Who of the children is it, and does it say that it holds nothing?
        const std::size_t row = RawSegment::row((owner & 0xffff) - 1);
        const std::uint32_t pid = segment_.u32(row + 8);
        for (const Entry& entry : ledger.entries) {
            if (pid == 0 || entry.pid.load() != pid) continue;
            const std::uint32_t turn = entry.frames_turn.load();
            if (turn % 2 != 0) continue;
            const std::uint64_t again = pins_of(index);
            if (again == 0 || segment_.u64(at) != owner || segment_.u64(row) != owner >> 17 ||
                entry.frames_turn.load() != turn || entry.pid.load() != pid) {
                continue;
            }
            throw Wrong("leaked: a pin of a living row that holds no frame: " + hex(again) +
                        ", end " + std::to_string(index) + " of kind " +
                        std::to_string(segment_.u32(at + 16)) + ", child " +
                        std::to_string(&entry - ledger.entries));
        }
    }
}

void Audit::look_at_calls() {
    for (std::size_t slot = 0; slot < segment_.slots(); ++slot) {
        const std::uint64_t word = segment_.u64(segment_.state(slot));
        const std::uint64_t kind = word & 7, tries = word >> 8 & 15;
        const std::uint64_t holder = word >> 12 & 0xfffff, ticket = word >> 32;
        const auto bad = [&](const char* what) {
            return std::string(what) + ": " + hex(word) + " after " + hex(states_[slot]);
        };
        require((word & 0xe0) == 0, bad("reserved bits of a call"));
        if (kind == kFilling || kind == kRunning) {
            require((holder & 0xff) < RawSegment::kRows, bad("a call in no row's hands"));
        } else {
            require(holder == 0, bad("a call that nobody has names a row"));
        }
        require((word & 16) == 0 || kind == kRunning, bad("abandoned, and not running"));
        require(tries <= segment_.u32(RawSegment::kControlBytes + 64), bad("given out too often"));
        const std::uint64_t last = states_[slot];
        const std::uint64_t last_ticket = last >> 32, last_kind = last & 7;
        const auto moved = static_cast<std::int32_t>(static_cast<std::uint32_t>(ticket) -
                                                     static_cast<std::uint32_t>(last_ticket));
        require(moved >= 0 || last == 0, bad("a ticket went back"));
        if (moved == 0 && last != 0) {
            // One call: it is over once, and a free slot's next call has another ticket.
            require(last_kind != kCallFree || kind == kCallFree, bad("a ticket was used twice"));
            require(last_kind < kAnswered || kind == last_kind || kind == kCallFree,
                    bad("a call that was over went on"));
            require(kind == kCallFree || tries >= (last >> 8 & 15), bad("tries went back"));
            require(kind != kFilling || last_kind == kFilling, bad("a call is filled again"));
        }
        states_[slot] = word;
    }
    for (std::size_t k = 0; k < counts_.size(); ++k) {
        grow(counts_[k], segment_.u64(RawSegment::kControlBytes + 72 + 8 * k), "a service's count");
    }
}

void Audit::look_at_rest() const {
    std::size_t living = 0;
    for (std::size_t row = 0; row < RawSegment::kRows; ++row) {
        living += segment_.is_row_alive(row) ? 1 : 0;
    }
    require(living == 1, "at rest " + std::to_string(living) + " rows are held");
    for (const std::size_t lock : {kLock, kAttrsLock}) {
        require(segment_.u64(lock) == 0, "at rest a lock is held: " + hex(segment_.u64(lock)));
    }
    if (segment_.kind() == 1) {
        require(segment_.u64(kVersion) % 2 == 0, "at rest a write is incomplete");
    }
    if (segment_.kind() == 2) {
        for (std::size_t slot = 0; slot < segment_.slots(); ++slot) {
            const std::uint64_t word = segment_.u64(segment_.slot_line(slot));
            require((word & 3) == kPublished, "at rest a slot is not published: " + hex(word));
        }
    }
    if (segment_.kind() == 3) {
        for (std::size_t slot = 0; slot < segment_.slots(); ++slot) {
            const std::uint64_t word = segment_.u64(segment_.state(slot));
            require((word & 7) == kCallFree, "at rest a call is not over: " + hex(word));
        }
    }
    for (std::size_t index = 0; segment_.kind() != 1 && index < RawSegment::kEnds; ++index) {
        const std::uint64_t owner = segment_.u64(segment_.end(index));
        if (owner == 0 || segment_.kind() != 2 || pins_of(index) == 0) continue;
        const std::size_t row = (owner & 0xffff) - 1;
        const bool lives =
            segment_.is_row_alive(row) && segment_.u64(RawSegment::row(row)) == owner >> 17;
        require(!lives, "at rest a living row pins a slot");
    }
}

}  // namespace ndshare::soak
