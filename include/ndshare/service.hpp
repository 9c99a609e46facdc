// ndshare/service.hpp: calls by name, answered by workers, in batches.
//
//   Worker   get() a batch of waiting calls, fill its outputs, reply()
//   Client   loan() a call, fill its inputs, submit(); or submit() a copy; then result()
//
// A service is one segment at a name: `slots` places for calls, shared by all clients and workers,
// which may come in any order, go, and come back. An answer reaches the call that asked and no
// other; what a killed worker had goes to another one. Errors: Error (error.hpp). Threads: handles
// any, at once; a Call and a Batch one at a time. Processes: any. fork(): calls and batches under
// way stay the parent's; the child's handles take places of their own when used.
#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ndshare/stream.hpp"

namespace ndshare {

struct WorkerOptions {
    int slots = 64;   // calls that may be under way at once, 1 to 4096
    int retries = 1;  // how often a call goes to another worker when one dies, 0 to 15
    std::string attrs_json{};
    Sharing sharing{};
    Timeout spin = Timeout(-1);
    std::string full_name{};  // where to look instead of NDSHARE_NAMESPACE and name
};
struct ClientOptions {
    // Its calls go before those of clients with a lesser one; -100 to 100.
    int priority = 0;
    Timeout spin = Timeout(-1);
    std::string full_name{};
};
// max_delay: how long the oldest call may wait for company when there are fewer than
// max_batch_size; 0: what is there goes at once.
struct BatchOptions {
    int max_batch_size = 1;
    Timeout max_delay = Timeout(0);
};

// n calls of equal shapes, side by side. Destruction without reply(): they go to another worker.
// Views are valid until reply() or fail(): from then on the memory is other calls'.
class [[nodiscard]] Batch {
 public:
    Batch(Batch&&) noexcept;
    Batch& operator=(Batch&&) noexcept;
    ~Batch();
    std::size_t size() const noexcept;
    // The leading axis is size(). Errors: spec_mismatch (dtype, rank), invalid_argument (no such
    // field).
    template <Element T, std::size_t N>
        requires std::is_const_v<T>
    ArrayView<T, N> input(std::string_view field = {}) const {
        const FieldView found = checked(false, field, Dtype::of<T>(), N);
        return detail::view_of<T, N>(const_cast<std::byte*>(found.data), found.shape, Order::c);
    }
    template <Element T, std::size_t N>
    ArrayView<T, N> output(std::string_view field = {}) const {
        const FieldView found = checked(true, field, Dtype::of<T>(), N);
        return detail::view_of<T, N>(const_cast<std::byte*>(found.data), found.shape, Order::c);
    }
    // One of its calls, to be answered by itself, in any order. Errors: invalid_argument.
    Batch operator[](std::size_t i);
    Batch slice(std::size_t begin, std::size_t count);
    // Outputs with maxshape: the shape of each call in this (part of a) batch, without the leading
    // axis. Before it they have none, and their views are of the largest.
    void resize(const Shape& shape, std::string_view field = {});
    // The outputs are the answers; those of calls answered before stay. Errors: closed (nothing is
    // left to answer), invalid_argument (an output with maxshape has no shape yet).
    void reply();
    // RemoteError for the callers; at most 4 KiB, cut in the middle.
    void fail(std::string_view message);
    bool is_open() const noexcept;                   // something is left to answer
    void require_open(const char* operation) const;  // Errors: closed, with the reason
    // The calls' inputs had to be copied together: they were not neighbours.
    bool is_gathered() const noexcept;

    // For bindings. shape: with the leading axis.
    std::size_t input_count() const noexcept;
    std::size_t output_count() const noexcept;
    FieldView input_at(std::size_t index) const;
    FieldView output_at(std::size_t index) const;
    // Copies an output of each call that is open; rows: of all calls, one after the other.
    void fill_at(std::size_t index, const std::byte* rows);
    std::string_view input_name(std::size_t index) const;
    std::string_view output_name(std::size_t index) const;
    const Spec& output_spec(std::size_t index) const;                    // of one call
    std::shared_ptr<const std::byte> memory(const std::byte* at) const;  // keeps it mapped

 private:
    friend class Worker;
    struct Impl;
    explicit Batch(std::unique_ptr<Impl> impl);
    FieldView checked(bool output, std::string_view field, const Dtype& dtype,
                      std::size_t rank) const;
    std::unique_ptr<Impl> impl_;
};

class Worker {
 public:
    // Joins the service of this name, or makes it. Inputs and outputs need names. Errors:
    // spec_mismatch (living workers have others, their pid is named), exists (an array or a stream
    // has the name), invalid_argument, out_of_memory.
    Worker(std::string_view name, const Fields& inputs, const Fields& outputs,
           const WorkerOptions& options = {});
    // Joins. Errors: not_found.
    explicit Worker(std::string_view name, const WorkerOptions& options = {});
    Worker(Worker&&) noexcept;
    Worker& operator=(Worker&&) noexcept;
    ~Worker();  // close()

    // Calls that are this worker's from now on. nullopt: none in time. Errors: closed, replaced.
    std::optional<Batch> get(const BatchOptions& options = {}, Timeout timeout = forever);
    // fn fills the outputs; an exception of it goes to its callers, and the worker goes on. Until
    // close() from another thread. Errors: replaced.
    void run(const std::function<void(Batch&)>& fn, const BatchOptions& options = {});
    int client_count() const;
    int worker_count() const;
    Fields inputs() const;
    Fields outputs() const;
    int slots() const;
    std::uint64_t generation() const;
    std::size_t nbytes() const;
    std::string attrs_json() const;
    void update_attrs(const std::function<std::string(std::string_view)>& change);
    std::string_view name() const noexcept;
    std::string_view full_name() const noexcept;
    // A get() in another thread ends with Errc::closed. A batch under way may still be answered; if
    // it is dropped it goes to another worker.
    void close() noexcept;
    bool closed() const noexcept;

 private:
    friend class Batch;
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

enum class Outcome { answered, timed_out, no_worker, worker_died, remote_error, cancelled };

// One request on its way. Destruction abandons it.
class [[nodiscard]] Call {
 public:
    Call(Call&&) noexcept;
    Call& operator=(Call&&) noexcept;
    ~Call();
    // While loaned: the inputs to fill. Errors: closed (submitted already), spec_mismatch.
    template <Element T, std::size_t N>
    ArrayView<T, N> input(std::string_view field = {}) const {
        const FieldView found = checked(field, Dtype::of<T>(), N);
        return detail::view_of<T, N>(const_cast<std::byte*>(found.data), found.shape, Order::c);
    }
    std::span<std::byte> bytes(std::string_view field = {}) const;
    void resize(const Shape& shape, std::string_view field = {});  // inputs with maxshape
    // The deadline travels with it: a call that cannot be answered in time is not computed.
    void submit(Timeout timeout = forever);
    void discard() noexcept;  // of a loaned call: nothing is asked
    // For loops that must not throw. timed_out, no_worker: until the deadline it may be asked
    // again.
    Outcome wait(Timeout timeout = forever) noexcept;
    // The answer, pinned until the last copy of the frame is gone (a copy where many are kept).
    // Errors: timeout, no_worker, worker_died, remote, closed, spec_mismatch (the service has other
    // fields by now).
    Frame result(Timeout timeout = forever);
    bool done() const noexcept;  // result() would not wait
    // false: it was over already. The worker may compute it all the same.
    bool cancel() noexcept;
    bool cancelled() const noexcept;
    // Readable while done(). Errors: invalid_argument (too many at once).
    int fileno();

    // For bindings.
    bool is_loaned() const noexcept;
    std::size_t input_count() const noexcept;
    FieldView input_at(std::size_t index) const;
    std::string_view input_name(std::size_t index) const;
    std::shared_ptr<std::byte> memory(std::size_t index) const;
    std::string_view name() const noexcept;

 private:
    friend class Client;
    friend class Waitable;
    struct Impl;
    explicit Call(std::shared_ptr<Impl> impl);
    FieldView checked(std::string_view field, const Dtype& dtype, std::size_t rank) const;
    std::shared_ptr<Impl> impl_;
};

class Client {
 public:
    // Never fails because nobody is there: calls wait for a worker as long as their timeout allows.
    explicit Client(std::string_view name, const ClientOptions& options = {});
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;
    ~Client();  // close()

    // A call to fill in place. Errors: no_worker (no service, or no worker and no slot in time),
    // timeout (every slot is in use), closed.
    Call loan(Timeout timeout = forever);
    // The only input, copied. Errors: loan's, spec_mismatch.
    template <Element T>
    Call submit(std::span<const T> input, Timeout timeout = forever) {
        return submit_bytes(std::as_bytes(input), Dtype::of<T>(), timeout);
    }
    template <Element T>
    Frame operator()(std::span<const T> input, Timeout timeout = forever) {
        return submit(input, timeout).result();
    }
    Call submit_bytes(std::span<const std::byte> input, const Dtype& dtype, Timeout timeout);
    // nullopt: there is no service yet.
    std::optional<Fields> inputs();
    std::optional<Fields> outputs();
    int worker_count() const noexcept;
    std::string attrs_json();
    std::string_view name() const noexcept;
    std::string_view full_name() const noexcept;
    // Calls under way end with Errc::closed.
    void close() noexcept;
    bool closed() const noexcept;

 private:
    friend class Call;
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// Bytes that a service of these fields takes.
std::uint64_t footprint(const Fields& inputs, const Fields& outputs, int slots);

}  // namespace ndshare
