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
#include "ndshare/array.hpp"
#include "platform/fd.h"

namespace ndshare::api {

// The user's wish in checked form. Throws Invalid.
layout::ArrayPlan plan_array(const std::string& full_name, const Spec& spec,
                             const Sharing& sharing);
// Throws Invalid unless text is empty or looks like a JSON object of at most 16 KiB.
void require_attrs(std::string_view text);

class Build {
 public:
    // Takes the memory and fills it; without data: zeros. Errors: NoRoom, SystemError.
    Build(layout::ArrayPlan plan, const Sharing& sharing,
          const std::optional<std::span<const std::byte>>& data, std::string_view attrs_json);
    // Complete but for its name; once. Called with the name's lock held: generation is final then.
    std::shared_ptr<Segment> finish(std::uint64_t generation);
    bool persistent() const { return plan_.persistent; }

 private:
    layout::ArrayPlan plan_;
    layout::Descriptor descriptor_;
    platform::Fd fd_;
    bool has_data_;
};

}  // namespace ndshare::api
