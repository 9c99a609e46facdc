// soak/roles.h: what the campaign's children do until they are killed, or leave on their own.
// Each role checks all that it is given: contents, numbers, counts, time. Threads: one.
// Processes: one for each role. Blocks: never longer than kPatience.
#pragma once
#include <cstddef>
#include <string>

#include "life.h"
#include "ndshare/ndshare.hpp"

namespace ndshare::soak {

inline constexpr std::size_t kPayloadBytes = 1024;
inline constexpr const char* kArrayNames[] = {"kept", "renewed"};
inline constexpr const char *kDropName = "drop", *kBlockName = "block", *kServiceName = "sum";

Spec payload_spec();
PublisherOptions stream_options(Overflow overflow);
Fields service_inputs();
Fields service_outputs();
WorkerOptions service_options();
// Answers all calls of the batch as answer_to says. other: those of the calls after them.
void answer(Life& life, Batch& batch, bool other = false);
void require_answer(Life& life, const Frame& frame, std::uint64_t writer, std::uint64_t count);

void keep_writing(Life& life);
void keep_reading(Life& life);
void keep_publishing(Life& life, const char* name);
void subscribe_in_order(Life& life);
void subscribe_latest(Life& life);
void subscribe_block(Life& life);
void keep_working(Life& life);
void keep_asking(Life& life);
void keep_naming(Life& life);
void keep_forking(Life& life);

struct Role {
    const char* name;
    void (*run)(Life&);
};
extern const Role kRoles[];
extern const std::size_t kRoleCount;

}  // namespace ndshare::soak
