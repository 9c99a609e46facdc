// api/build.h: making a segment: all of it, or nothing. Until its name is published nobody else can
// see it, and when its maker dies the kernel takes it back.
// Threads: any. Blocks: while memory is reserved and data copied.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "api/segment.h"
#include "layout/descriptor.h"
#include "layout/service.h"
#include "layout/stream.h"
#include "ndshare/service.hpp"
#include "platform/fd.h"

namespace ndshare::api {

// The user's wish in checked form. Throws Invalid.
layout::SegmentPlan plan_array(const std::string& full_name, const Spec& spec,
                               const Sharing& sharing);
// The same for a stream of these fields; first_seq: the number before its first frame's.
layout::SegmentPlan plan_stream(const std::string& full_name, const layout::SlotPlan& slot,
                                std::size_t slot_count, std::uint64_t first_seq,
                                const Sharing& sharing);
// The same for a service.
layout::SegmentPlan plan_service(const std::string& full_name, const layout::ServicePlan& pool,
                                 const WorkerOptions& options);
// Bytes that are taken when it is made.
std::uint64_t footprint_of(const layout::Descriptor& descriptor);
std::uint64_t footprint_of(const layout::SegmentPlan& plan);
// Throws Refused where other processes could not find what the kernel holds for this one.
void require_sharable();
// Throws Invalid unless text is empty or looks like a JSON object of at most 16 KiB.
void require_attrs(std::string_view text);

class Build {
 public:
    // Takes the memory and fills it; without data: zeros. Errors: NoRoom, SystemError.
    Build(layout::SegmentPlan plan, const Sharing& sharing,
          const std::optional<std::span<const std::byte>>& data, std::string_view attrs_json);
    // Complete but for its name; once. Called with the name's lock held: generation is final then.
    std::shared_ptr<Segment> finish(std::uint64_t generation);
    // Streams: numbers go on from here; before finish().
    void begin_at(std::uint64_t first_seq) { plan_.first_seq = first_seq; }
    bool persistent() const { return plan_.persistent; }

 private:
    layout::SegmentPlan plan_;
    layout::Descriptor descriptor_;
    platform::Fd fd_;
    bool has_data_;
};

}  // namespace ndshare::api
