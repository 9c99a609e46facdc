// soak/ledger.h: memory beside the library's in which everybody says what he is doing, so that the
// campaign knows what it killed somebody at, who stands still, and what was found wrong.
// A file in the campaign's folder, mapped by all; python_load.py writes the same offsets.
// Threads: one for each entry. Processes: any.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>

namespace ndshare::soak {

enum class Doing : std::uint32_t {
    starting,
    between,
    attaching,
    writing,
    reading,
    publishing,
    taking,
    holding,
    asking,
    answering,
    naming,
    forking,
    leaving,
};
inline constexpr const char* kDoingNames[] = {
    "starting", "between", "attaching", "writing", "reading", "publishing", "taking",
    "holding",  "asking",  "answering", "naming",  "forking", "leaving"};
inline constexpr std::size_t kDoings = std::size(kDoingNames);

struct Entry {
    std::atomic<std::uint32_t> doing, pid;
    std::atomic<std::uint32_t> frames_turn;  // even: it holds no frame and is getting none
    std::atomic<std::uint32_t> is_wrong;     // text says what
    std::atomic<std::uint64_t> beats;        // whoever lives raises it
    std::atomic<std::uint64_t> lives, forks, grandchildren_killed;
    std::atomic<std::uint64_t> done[16];  // by Doing, over all lives at this place
    char text[1024 - 48 - 128];
};
static_assert(sizeof(Entry) == 1024 && kDoings <= 16);

// The campaign's children, then the survivor and the auditor.
inline constexpr std::size_t kPlacesMax = 40, kSurvivor = 38, kAuditor = 39;

enum Phase : std::uint32_t {
    kLoad,     // everything runs
    kAlone,    // said by the campaign: only the survivor and the auditor are left
    kAtRest,   // said by the survivor: everything came back, it does nothing any more
    kAudited,  // said by the auditor: memory at rest is as it has to be
};

struct Ledger {
    std::atomic<std::uint32_t> phase;
    std::atomic<std::uint32_t> looks, segments_seen;  // of the auditor
    std::uint8_t pad[1012];
    Entry entries[kPlacesMax];
};

// Throws std::system_error. The mapping lasts as long as the process.
Ledger& map_ledger(const std::string& path, bool create);

}  // namespace ndshare::soak
