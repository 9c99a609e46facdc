// api/attrs.h: the attributes of what a segment holds, for every kind of handle. Threads: any.
// Blocks: update, while others change them.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "api/segment.h"

namespace ndshare::api {

std::string attrs_json(Segment& segment);  // "{}" when none were set
// go_on: called while waiting; throws to end the wait.
void update_attrs(Segment& segment, const std::function<std::string(std::string_view)>& change,
                  const std::function<void()>& go_on);

}  // namespace ndshare::api
