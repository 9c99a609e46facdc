// process/child_services.h: the scenarios of the fault walk that need a service. Each takes the
// name.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "ndshare/ndshare.hpp"

namespace ndshare::test {

const std::map<std::string, std::function<void(const std::string&)>>& service_scenarios();

// The walk's service: 64 numbers in, their sum and the first of them out.
Fields walk_inputs();
Fields walk_outputs();
WorkerOptions walk_options();
void fill(const Call& call, std::uint64_t value);
// The answers to all calls of a batch.
void answer(Batch& batch);
bool is_answer_to(const Frame& frame, std::uint64_t value);

}  // namespace ndshare::test
