// api/worker.h: what a Worker handle and its batches are behind the public header.
// Threads: any.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/aligned_bytes.h"
#include "api/fork_mutex.h"
#include "api/gate.h"
#include "api/service_memory.h"
#include "api/taken_calls.h"
#include "ndshare/service.hpp"

namespace ndshare {

struct Worker::Impl {
    Impl(std::string user_name, std::string whole_name, const WorkerOptions& options)
        : load(std::make_shared<api::WorkLoad>(std::move(user_name))),
          full_name(std::move(whole_name)),
          spin(options.spin.count()) {}

    const std::string& name() const { return load->name; }
    const std::shared_ptr<api::WorkLoad> load;
    const std::string full_name;
    sync::SpinBudget spin;
    api::Gate gate;
    std::atomic<std::int64_t> settled_ns{0};
    std::shared_ptr<const api::ServiceMemory> memory;  // until the last one is out

    class Use {
     public:
        Use(Impl& impl, const char* operation);
        ~Use() { impl_.leave(); }
        Use(const Use&) = delete;
        const api::ServiceMemory& memory() const { return *impl_.memory; }

     private:
        Impl& impl_;
    };
    void leave() noexcept;
    void close() noexcept;
    void go_on(const Use& use, const char* operation);
    void settle_now_and_then(const Use& use);
    void require_current(const Use& use, const char* operation) const;
    // This process works here: it has a place of its own. REQUIRES: a Use.
    std::shared_ptr<api::ServiceLease> ensure_lease();
    void set_lease(std::shared_ptr<api::ServiceLease> lease) { lease_ = std::move(lease); }

 private:
    api::ForkMutex mutex_;
    std::shared_ptr<api::ServiceLease> lease_;
};

struct Batch::Impl {
    std::shared_ptr<api::TakenCalls> calls;
    std::size_t begin = 0, count = 0;
    mutable std::vector<Shape> input_shapes{}, output_shapes{};  // what views refer to
};

}  // namespace ndshare
