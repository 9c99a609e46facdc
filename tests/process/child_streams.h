// process/child_streams.h: the scenarios of the fault walk that need a stream. Each takes the name.
#pragma once
#include <functional>
#include <map>
#include <string>

namespace ndshare::test {

const std::map<std::string, std::function<void(const std::string&)>>& stream_scenarios();

}  // namespace ndshare::test
