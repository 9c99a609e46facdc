// api/describe.h: what ls() and info() say of a stream's and a service's own words. Takes no lock
// and changes nothing: it also answers when all are stuck. Figures for people: read relaxed.
// Threads: any. Blocks: no.
#pragma once
#include "layout/service.h"
#include "layout/stream.h"
#include "ndshare/registry.hpp"
#include "sync/ground.h"

namespace ndshare::api {

void describe_stream(Info& info, const layout::StreamControl& control, sync::Ground& ground);
void describe_service(Info& info, const layout::ServiceControl& control, sync::Ground& ground);
// Inputs and outputs under the names that numpy.load shows: in.NAME, out.NAME.
Fields pool_fields(const layout::ServicePlan& plan);

}  // namespace ndshare::api
