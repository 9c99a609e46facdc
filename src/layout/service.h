// layout/service.h: what a service has beside an array's parts: what lies in the pool, and the
// words behind the common control region.
//
//   pool: each field of all slots together, so that neighbours are one contiguous batch
//   |  0  image[slot_count] | boxes[slot_count] | ...   each from a multiple of 64, large ones of
//   |                                                   4096; inputs, then results
//   |     extras[slot_count]  8 bytes an extent of the fields whose shape may differ from call to
//   |                         call, then kErrorBytes of text
//
//   behind the common control region
//   |  0  ServiceWords
//   |     states[slot_count]      sync/request_words.h, eight to a cache line
//   |     RequestLine[slot_count]
//   |     End[kEndCount]          one for each worker and each client handle
//   |     WorkerLine[kEndCount]   health of the worker that has that end
//
// Structs, offsets and checks only; the verbs are in sync/. Threads: any. Blocks: no.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "layout/control.h"
#include "layout/end.h"
#include "layout/fields.h"

namespace ndshare::layout {

inline constexpr std::size_t kRequestSlotsMin = 1, kRequestSlotsMax = 4096;
inline constexpr std::uint64_t kErrorBytes = 4096;
inline constexpr std::size_t kRetriesMax = 15;
inline constexpr std::int32_t kPriorityMax = 100;  // and the least is -100
inline constexpr std::size_t kDurationBuckets = 40;

// What the pool holds. Offsets are from its begin, strides from slot to slot.
struct ServicePlan {
    std::vector<Field> inputs, results;
    std::uint64_t error_offset_bytes = 0, extras_stride_bytes = 0, pool_bytes = 0;
};

// Fills in what is derived. Throws Invalid; also for Fortran order and objects, which a batch
// cannot have.
ServicePlan plan_service(std::vector<Field> fields, std::size_t slot_count);
std::string service_text(const ServicePlan& plan);
ServicePlan plan_service_of(std::string_view text, std::size_t slot_count);
// The pool as numpy.load sees it: one record of arrays with a leading slot axis.
std::string npy_descr_of_pool(const ServicePlan& plan, std::size_t slot_count);

struct ServiceWords {
    // Submitters' line.
    Word32 requests;     // raised by each submission; workers sleep on it
    Word32 need_worker;  // 1: a worker sleeps; the submitter clears it and wakes one
    Word64 time;         // the greatest order tag that was taken
    std::uint8_t pad0[48];
    // Set once, by the creator.
    Word32 retries;  // how often a call may go to another worker when one dies
    Word32 reserved32;
    // Rare events, for people.
    Word64 redelivered;  // calls that went to another worker
    Word64 died;         // calls whose workers died until the retries were over
    Word64 expired;      // calls that were past their deadline when their turn came
    Word64 late;         // answers that nobody waited for any more
    Word64 abandoned;    // calls that were given up before a worker had them
    std::uint8_t pad1[16];
};
static_assert(sizeof(ServiceWords) == 2 * kCacheLine, "bump kLayoutVersion");
static_assert(std::has_unique_object_representations_v<ServiceWords>);

// Written by the slot's client before QUEUED, the error by its worker before FAILED.
struct RequestLine {
    Word64 client;        // owner word of its process
    Word64 order;         // the tag that decides whose turn it is
    Word64 deadline_ns;   // monotonic; 0: none
    Word64 submitted_ns;  // monotonic
    Word64 shape_key;     // calls with different ones share no batch
    Word32 end;           // the client handle's
    Word32 error_bytes;   // length of the error's text
    Word32 priority;      // of its client: a signed number, the greater goes first
    std::uint8_t reserved[12];
};
static_assert(sizeof(RequestLine) == kCacheLine, "bump kLayoutVersion");
static_assert(std::has_unique_object_representations_v<RequestLine>);

// Written by the worker alone; for people and supervisors.
struct WorkerLine {
    Word64 busy_since_ns;  // monotonic; 0: idle
    Word64 progress_ns;    // when it last took or answered something
    Word64 slot;           // of the call it works on, or the first of the batch
    Word64 taken;          // calls
    Word64 answered;
    Word64 failed;
    Word64 batches;
    Word64 gathered;  // batches that had to be copied together
    Word64 busy_ns;   // all of it together
    Word64 reserved[3];
    // Durations from take to answer: bucket k counts those of 2^k to 2^(k+1) ns.
    Word32 durations[kDurationBuckets];
};
static_assert(sizeof(WorkerLine) == 4 * kCacheLine, "bump kLayoutVersion");
static_assert(std::has_unique_object_representations_v<WorkerLine>);

struct ServicePlaces {
    std::uint64_t states_offset, lines_offset, ends_offset, workers_offset, bytes;
};
ServicePlaces service_places(std::size_t slot_count);

// A service's own words as the floors above see them. REQUIRES: base is the control region,
// control_bytes_of_service(slot_count) long.
class ServiceControl {
 public:
    ServiceControl() = default;
    ServiceControl(std::byte* base, std::size_t slot_count)
        : control_(base),
          own_(base + kControlBytes),
          places_(service_places(slot_count)),
          slot_count_(slot_count) {}
    Control common() const { return control_; }
    ControlWords& words() const { return control_.words(); }
    ServiceWords& service() const { return *reinterpret_cast<ServiceWords*>(own_); }
    std::size_t slot_count() const { return slot_count_; }
    Word64& state(std::size_t slot) const {
        return reinterpret_cast<Word64*>(own_ + places_.states_offset)[slot];
    }
    RequestLine& line(std::size_t slot) const {
        return reinterpret_cast<RequestLine*>(own_ + places_.lines_offset)[slot];
    }
    End& end(std::size_t index) const {
        return reinterpret_cast<End*>(own_ + places_.ends_offset)[index];
    }
    WorkerLine& worker(std::size_t index) const {
        return reinterpret_cast<WorkerLine*>(own_ + places_.workers_offset)[index];
    }
    std::size_t pin_words() const { return 0; }  // nothing is pinned: states say who has a slot

 private:
    Control control_;
    std::byte* own_ = nullptr;
    ServicePlaces places_{};
    std::size_t slot_count_ = 0;
};

inline std::uint64_t control_bytes_of_service(std::size_t slot_count) {
    return kControlBytes + service_places(slot_count).bytes;
}

}  // namespace ndshare::layout
