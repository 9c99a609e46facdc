// ndshare/registry.hpp: what is shared, by whom. Looks without taking a lock or a place in the
// peer table, so it answers while everybody else is stuck.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ndshare/spec.hpp"

namespace ndshare {

enum class Kind { array, stream, service };
struct Info {
    std::string name;
    Kind kind = Kind::array;
    Fields specs;                       // one, named "", for an array
    std::uint64_t nbytes = 0;           // of the values, without the pages around them
    std::uint64_t footprint_bytes = 0;  // memory actually taken (st_blocks)
    std::uint64_t generation = 0;       // larger for each memory under one name
    bool persistent = false;
    std::string path;                               // opens with numpy.load(path, mmap_mode="r+")
    std::string attrs_json;                         // "{}" when none were set
    std::vector<int> holders;                       // pids of the living peers
    std::map<std::string, std::uint64_t> counters;  // version, peers, writing, incomplete
    bool dtype_aligned = false;                     // numpy.dtype(..., align=True)
    // Streams: counters are published, dropped, lost, lag (the largest), pinned, publishers,
    // subscribers, waiting (1: a `block` publisher waits for room), ended, slots.
    struct End {
        std::string kind;  // publisher, in order, latest, refs
        int pid = 0;
        std::uint64_t count = 0;  // publishers: frames dropped; subscribers: frames lost
        std::uint64_t lag = 0, pinned = 0;
    };
    std::vector<End> ends;  // of the living
    // Services: specs are named in.NAME and out.NAME; counters are waiting, running, kept (being
    // filled, or answers to be collected), free, slots, workers, clients, answered, failed,
    // batches, gathered (of the living workers), redelivered, died, expired, late, abandoned,
    // retries.
    struct Worker {
        int pid = 0;
        bool is_busy = false;
        std::uint64_t slot = 0;         // of the call it works on, the first of a batch
        std::uint64_t busy_ns = 0;      // for how long by now
        std::uint64_t progress_ns = 0;  // since it last took or answered something
        std::uint64_t taken = 0, answered = 0, failed = 0;  // calls
        std::uint64_t batches = 0, gathered = 0;
        std::uint64_t mean_ns = 0,
                      p99_ns = 0;  // of a batch, from take to answer; p99: to a factor 2
    };
    std::vector<Worker> workers;  // the living
    bool is_object = false;       // a stream of pickled values
};

// Names matched by a shell pattern (fnmatch(3); "*" also matches "/"), sorted; within
// NDSHARE_NAMESPACE only. Segments that cannot be read are left out (ls never fails for one of
// many); info() says what is wrong with one.
std::vector<Info> ls(std::string_view pattern = "*");
Info info(std::string_view name);

// Removes the name; whoever holds the memory keeps it. false: there was none.
bool unlink(std::string_view name);

// Where this process looks for names and persistent files, and which limits hold for new memory:
// for people who ask why something does not fit or is not found.
struct MemoryLimit {
    std::string what, remedy;
    std::uint64_t limit_bytes = 0, free_bytes = 0;  // free: after a margin for page tables
};
struct Places {
    std::string names, files;
    std::vector<MemoryLimit> limits;
};
Places where();

// Bytes an array of this spec will take, its pages included, before it is created.
std::uint64_t footprint(const Spec& spec);

}  // namespace ndshare
