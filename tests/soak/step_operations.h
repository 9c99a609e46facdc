// soak/step_operations.h: what the victim of a single step does, and who it does it to.
// Threads: one. Processes: the victim's, and for its corpses one more.
#pragma once
#include <functional>
#include <span>

#include "ndshare/ndshare.hpp"
#include "payload.h"

namespace ndshare::soak {

inline constexpr std::size_t kStepBytes = 128;
inline constexpr int kStepSlots = 4;
inline constexpr const char *kStepArray = "a", *kStepNew = "new", *kStepDrop = "d",
                            *kStepBlock = "b", *kStepService = "s";

enum class Subject { array, drop, block, service };

struct StepOperation {
    const char* name;
    Subject subject;
    // In the victim, before its operation: attaches. The operation itself.
    std::function<void()> (*prepare)();
    bool is_asked = false;   // the survivor asks the service, for the victim to answer
    bool is_served = false;  // the survivor answers while the victim runs
};
std::span<const StepOperation> step_operations();

Spec step_spec();
PublisherOptions step_stream(Overflow overflow);
Fields step_inputs();
Fields step_outputs();
WorkerOptions step_service();
void answer_step(Batch& batch);

}  // namespace ndshare::soak
