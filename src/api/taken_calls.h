// api/taken_calls.h: the calls that a worker has: their arrays, as one where they lie side by side,
// and their answers. Threads: any; parts may be answered by several.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "api/aligned_bytes.h"
#include "api/service_memory.h"
#include "ndshare/service.hpp"

namespace ndshare::api {

// What a worker handle and its batches share.
struct WorkLoad {
    explicit WorkLoad(std::string user_name) : name(std::move(user_name)) {}
    const std::string name;
    std::atomic<std::int64_t> under_way{0};  // calls
};

// The calls of one get(), shared by the batches that are parts of it.
class TakenCalls {
 public:
    // REQUIRES: calls are memory's owner's, sorted by slot. Errors: CorruptBytes, bad_alloc; the
    // calls are the caller's still.
    TakenCalls(std::shared_ptr<WorkLoad> load, std::shared_ptr<const ServiceMemory> memory,
               std::shared_ptr<ServiceLease> lease, const std::vector<sync::WaitingCall>& calls);
    ~TakenCalls();  // what is not answered goes to another worker
    TakenCalls(const TakenCalls&) = delete;

    const ServiceMemory& memory() const { return *memory_; }
    std::size_t size() const { return calls_.size(); }
    const std::string& name() const { return load_->name; }
    bool is_gathered() const { return is_gathered_; }
    std::shared_ptr<const void> keeper() const { return memory_; }
    // Of calls begin .. begin + count; shape gets the leading axis.
    const std::byte* input(std::size_t field, std::size_t begin, std::size_t count, Shape& shape);
    std::byte* output(std::size_t field, std::size_t begin, std::size_t count, Shape& shape);
    // Copies an answer for each open call; rows: of all calls, one after the other.
    void fill(std::size_t field, std::size_t begin, std::size_t count, const std::byte* rows);
    // Errors of output() and answer(): Invalid, where calls of the part have different shapes, or
    // none.
    void resize(std::size_t field, std::size_t begin, std::size_t count, const Shape& shape);
    // How many were open.
    std::size_t answer(std::size_t begin, std::size_t count);
    std::size_t fail(std::size_t begin, std::size_t count, std::string_view message);
    bool is_open(std::size_t begin, std::size_t count);
    void require_ours() const;  // Errors: Invalid (taken before fork)

 private:
    struct One {
        sync::Held held;
        bool open = true;
    };
    void gather_inputs();
    bool are_together(std::size_t begin, std::size_t count, std::size_t bytes,
                      const layout::Field& field) const;
    void require_shapes(std::size_t begin, std::size_t count) const;
    void deliver(std::size_t k);
    bool finish(std::size_t k, sync::RequestKind kind);
    void note_over(std::size_t count, bool failed);
    void give_back_open() noexcept;

    std::shared_ptr<WorkLoad> load_;
    std::shared_ptr<const ServiceMemory> memory_;
    const std::uint64_t owner_;                  // another than the segment's: taken before a fork
    const std::shared_ptr<ServiceLease> lease_;  // the health line stays ours to the end
    std::int64_t taken_ns_ = 0;
    bool is_gathered_ = false;
    // Parts may be answered by several threads. Not taken in a forked child, whose calls these are
    // not: another thread may have held it.
    std::mutex mutex_;
    std::vector<One> calls_;
    std::vector<Shape> input_shapes_;   // of one call
    std::vector<AlignedBytes> inputs_;  // where they are not in the pool
    // Of each call, field after field.
    struct Output {
        Shape shape;
        bool has_shape = true;       // false: with maxshape, and nobody has said it yet
        std::byte* apart = nullptr;  // where it is filled, when that is not in its slot
        bool was_viewed = false;     // somebody may store through what output() said
    };
    Output& output_of(std::size_t field, std::size_t k) {
        return outputs_[field * calls_.size() + k];
    }
    const Output& output_of(std::size_t field, std::size_t k) const {
        return outputs_[field * calls_.size() + k];
    }
    std::vector<Output> outputs_;
    std::vector<AlignedBytes> apart_;  // kept: views may refer to memory that is not used any more
};

}  // namespace ndshare::api
