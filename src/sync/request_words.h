// sync/request_words.h: what the state of a service's slot says, in one word.
//
//    0..2   kind                        3   somebody sleeps on the word: the changer wakes
//    4      abandoned: nobody waits for the answer any more, its worker frees the slot
//    8..11  how often it was given to a worker that died or gave it back
//   12..19  row of the process that has it (FILLING: its client, RUNNING: its worker)
//   20..31  low bits of that row's epoch
//   32..63  ticket: raised by each claim, so that a call's word differs from any later call's
//
// The low half is the futex. Values only. Threads: any. Blocks: no.
#pragma once
#include <cstdint>

#include "sync/owner.h"

namespace ndshare::sync {

enum class RequestKind : std::uint64_t {
    free = 0,
    filling = 1,
    queued = 2,
    running = 3,
    answered = 4,
    failed = 5,   // the worker said so, with a text
    died = 6,     // its workers died until the retries were over
    expired = 7,  // past its deadline before a worker had it
};
inline constexpr std::uint64_t kRequestKindMask = 7;
inline constexpr std::uint64_t kRequestSleeper = 8, kRequestAbandoned = 16;
inline constexpr unsigned kTriesShift = 8, kRequestRowShift = 12, kRequestEpochShift = 20;
inline constexpr std::uint64_t kTriesMask = 15, kRequestRowMask = 255, kRequestEpochMask = 4095;
inline constexpr unsigned kTicketShift = 32;
inline constexpr std::uint64_t kTicketMask = ~std::uint64_t{0} << kTicketShift;
inline constexpr std::uint64_t kTriesField = kTriesMask << kTriesShift;

constexpr RequestKind request_kind(std::uint64_t word) {
    return static_cast<RequestKind>(word & kRequestKindMask);
}
constexpr std::uint64_t tries_of(std::uint64_t word) { return word >> kTriesShift & kTriesMask; }
constexpr std::uint64_t ticket_of(std::uint64_t word) { return word >> kTicketShift; }
constexpr bool is_over(std::uint64_t word) { return request_kind(word) >= RequestKind::answered; }
// The same call in another state: ticket and tries stay, nobody has it.
constexpr std::uint64_t request_in(std::uint64_t word, RequestKind kind) {
    return (word & (kTicketMask | kTriesField)) | static_cast<std::uint64_t>(kind);
}
// The same, in the hands of owner.
constexpr std::uint64_t request_with(std::uint64_t word, RequestKind kind, std::uint64_t owner) {
    return request_in(word, kind) | static_cast<std::uint64_t>(row_of(owner)) << kRequestRowShift |
           (owner >> kEpochShift & kRequestEpochMask) << kRequestEpochShift;
}
constexpr std::size_t request_row(std::uint64_t word) {
    return static_cast<std::size_t>(word >> kRequestRowShift & kRequestRowMask);
}
constexpr std::uint64_t request_epoch(std::uint64_t word) {
    return word >> kRequestEpochShift & kRequestEpochMask;
}
// Who has it, whatever sleeps or was abandoned meanwhile.
constexpr bool same_hands(std::uint64_t a, std::uint64_t b) {
    constexpr std::uint64_t flags = kRequestSleeper | kRequestAbandoned;
    return (a & ~flags) == (b & ~flags);
}

}  // namespace ndshare::sync
