#include "api/describe.h"

#include <algorithm>
#include <bit>

#include "api/stream_memory.h"
#include "platform/clock.h"
#include "sync/ends.h"
#include "sync/request_words.h"

namespace ndshare::api {
namespace {

using sync::Atomics;

const char* kind_text(std::uint32_t kind) {
    switch (kind) {
        case layout::kEndPublisher:
            return "publisher";
        case layout::kEndInOrder:
        case layout::kEndJoining:
            return "in order";
        case layout::kEndLatest:
            return "latest";
        default:
            return "refs";
    }
}

}  // namespace

void describe_stream(Info& info, const layout::StreamControl& control, sync::Ground& ground) {
    const Ring ring(control, ground);
    const std::uint64_t last = ring.last_seq();
    auto& counters = info.counters;
    for (const char* name : {"dropped", "lost", "lag", "pinned", "publishers", "subscribers"}) {
        counters[name] = 0;
    }
    // Relaxed, here and below: figures for people.
    counters["published"] = last - Atomics::load_relaxed(control.words().first_seq);
    counters["waiting"] = Atomics::load_relaxed(control.words().need_room) != 0 ? 1 : 0;
    counters["ended"] = sync::is_ended(ring.latest()) ? 1 : 0;
    counters["slots"] = control.slot_count();
    for (std::size_t index = 0; index < sync::ends_in_use(control, ground); ++index) {
        const layout::End& end = control.end(index);
        const std::uint64_t owner = Atomics::load_acquire(end.owner);
        const std::uint32_t kind = Atomics::load_acquire(end.kind);
        if (!sync::names_a_row(owner) || !ground.owner_is_alive(owner)) continue;
        Info::End one{
            kind_text(kind),
            static_cast<int>(Atomics::load_relaxed(control.common().row(sync::row_of(owner)).pid)),
            Atomics::load_relaxed(end.count), 0, 0};
        for (std::size_t word = 0; word < control.pin_words(); ++word) {
            one.pinned +=
                static_cast<std::uint64_t>(std::popcount(Atomics::load_relaxed(end.pins[word])));
        }
        counters["pinned"] += one.pinned;
        if (kind == layout::kEndPublisher) {
            counters["publishers"] += 1;
            counters["dropped"] += one.count;
        } else if (kind == layout::kEndInOrder || kind == layout::kEndLatest ||
                   kind == layout::kEndJoining) {
            counters["subscribers"] += 1;
            const std::int64_t behind = sync::seq_distance(last, Atomics::load_relaxed(end.cursor));
            one.lag = behind > 0 ? static_cast<std::uint64_t>(behind) : 0;
            // Gone already, though it will learn of it only when it looks.
            const std::uint64_t overdue =
                one.lag > control.slot_count() ? one.lag - control.slot_count() : 0;
            if (kind == layout::kEndInOrder) one.count += overdue;
            counters["lost"] += one.count;
            if (kind != layout::kEndLatest) counters["lag"] = std::max(counters["lag"], one.lag);
        } else if (one.pinned == 0) {
            continue;
        }
        info.ends.push_back(std::move(one));
    }
}

Fields pool_fields(const layout::ServicePlan& plan) {
    Fields fields;
    for (auto& [name, spec] : to_fields(plan.inputs)) fields.emplace_back("in." + name, spec);
    for (auto& [name, spec] : to_fields(plan.results)) fields.emplace_back("out." + name, spec);
    return fields;
}

namespace {

// The upper end of the bucket below which 99 of 100 durations lie.
std::uint64_t percentile_99_ns(const layout::WorkerLine& line) {
    std::uint64_t all = 0;
    for (const auto& bucket : line.durations) all += Atomics::load_relaxed(bucket);
    std::uint64_t seen = 0;
    for (std::size_t k = 0; k < layout::kDurationBuckets; ++k) {
        seen += Atomics::load_relaxed(line.durations[k]);
        if (all > 0 && seen * 100 >= all * 99) return std::uint64_t{2} << k;
    }
    return 0;
}

Info::Worker worker_of(const layout::WorkerLine& line, int pid) {
    const auto now = static_cast<std::uint64_t>(platform::monotonic_ns());
    const auto since = [&](std::uint64_t then) { return then == 0 || then > now ? 0 : now - then; };
    Info::Worker worker;
    worker.pid = pid;
    const std::uint64_t busy_since = Atomics::load_relaxed(line.busy_since_ns);
    worker.is_busy = busy_since != 0;
    worker.busy_ns = since(busy_since);
    worker.progress_ns = since(Atomics::load_relaxed(line.progress_ns));
    worker.slot = Atomics::load_relaxed(line.slot);
    worker.taken = Atomics::load_relaxed(line.taken);
    worker.answered = Atomics::load_relaxed(line.answered);
    worker.failed = Atomics::load_relaxed(line.failed);
    worker.batches = Atomics::load_relaxed(line.batches);
    worker.gathered = Atomics::load_relaxed(line.gathered);
    const std::uint64_t all_ns = Atomics::load_relaxed(line.busy_ns);
    worker.mean_ns = worker.batches > 0 ? all_ns / worker.batches : 0;
    worker.p99_ns = percentile_99_ns(line);
    return worker;
}

}  // namespace

void describe_service(Info& info, const layout::ServiceControl& control, sync::Ground& ground) {
    auto& counters = info.counters;
    for (const char* name : {"answered", "failed", "batches", "gathered", "waiting", "running",
                             "kept", "free", "workers", "clients"}) {
        counters[name] = 0;
    }
    auto& words = control.service();
    counters["slots"] = control.slot_count();
    counters["retries"] = Atomics::load_relaxed(words.retries);
    counters["redelivered"] = Atomics::load_relaxed(words.redelivered);
    counters["died"] = Atomics::load_relaxed(words.died);
    counters["expired"] = Atomics::load_relaxed(words.expired);
    counters["late"] = Atomics::load_relaxed(words.late);
    counters["abandoned"] = Atomics::load_relaxed(words.abandoned);
    for (std::size_t slot = 0; slot < control.slot_count(); ++slot) {
        switch (sync::request_kind(Atomics::load_relaxed(control.state(slot)))) {
            case sync::RequestKind::free:
                counters["free"] += 1;
                break;
            case sync::RequestKind::queued:
                counters["waiting"] += 1;
                break;
            case sync::RequestKind::running:
                counters["running"] += 1;
                break;
            default:  // being filled, or to be collected
                counters["kept"] += 1;
        }
    }
    for (std::size_t index = 0; index < sync::ends_in_use(control, ground); ++index) {
        const layout::End& end = control.end(index);
        const std::uint64_t owner = Atomics::load_acquire(end.owner);
        const std::uint32_t kind = Atomics::load_acquire(end.kind);
        if (!sync::names_a_row(owner) || !ground.owner_is_alive(owner)) continue;
        const auto pid =
            static_cast<int>(Atomics::load_relaxed(control.common().row(sync::row_of(owner)).pid));
        if (kind == layout::kEndClient) {
            counters["clients"] += 1;
            info.ends.push_back({"client", pid, 0, 0, 0});
        } else if (kind == layout::kEndWorker) {
            counters["workers"] += 1;
            const Info::Worker worker = worker_of(control.worker(index), pid);
            counters["answered"] += worker.answered;
            counters["failed"] += worker.failed;
            counters["batches"] += worker.batches;
            counters["gathered"] += worker.gathered;
            info.workers.push_back(worker);
        }
    }
}

}  // namespace ndshare::api
