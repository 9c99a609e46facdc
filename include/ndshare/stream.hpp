// ndshare/stream.hpp: frames that are published, pinned and never torn.
//
//   Publisher   loan() a slot, fill it, publish(); or put() a copy
//   Subscriber  get() frames in order, or the newest; each pins its slot while it lives
//   FrameRef    a frame's address, for queues and JSON; get() leads back to exactly that frame
//
// A stream is one segment at a name: `slots` slots in a ring. Publishers and subscribers may come
// in any order, go, and come back; nobody's death or restart stops the others. Errors: Error
// (error.hpp). Threads: handles any, at once; a Loan one at a time. Processes: any. fork(): frames
// stay pinned in both; the child's handles take places of their own when used.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ndshare/array.hpp"
#include "ndshare/error.hpp"
#include "ndshare/spec.hpp"
#include "ndshare/view.hpp"
#include "ndshare/wait.hpp"

struct DLManagedTensorVersioned;  // dlpack/dlpack.h

namespace ndshare {

// drop_oldest: publishing never waits and never fails; a slow subscriber loses the oldest frames.
// block: publishing waits until every in-order subscriber has got what would be overwritten.
enum class Overflow { drop_oldest, block };

// Exactly one of shape (with dtype; dtype alone: 0-d frames), maxshape (with dtype), fields and
// object_bytes_max; none of them: the stream's own, which must be there. object_bytes_max: frames
// are bytes of any length up to it (Python's pickled values).
struct PublisherOptions {
    Shape shape{};
    Dtype dtype{};
    Shape maxshape{};
    Fields fields{};
    int slots = 8;
    Overflow overflow = Overflow::drop_oldest;
    bool shared = false;  // other publishers may live; the fields must be the same
    std::string attrs_json{};
    Sharing sharing{};
    Timeout spin = Timeout(-1);
    std::uint64_t object_bytes_max = 0;
    std::string full_name{};  // where to look instead of NDSHARE_NAMESPACE and name
};
struct SubscriberOptions {
    bool latest = false;
    std::optional<Spec> expect{};  // of the only field; looked at for each memory it meets
    Timeout spin = Timeout(-1);
    bool expect_shape = true;  // false: only the dtype of expect counts
    bool expect_dtype = true;  // false: only the shape of expect counts
    std::string full_name{};
};

// What a field of one frame looks like.
struct FieldView {
    const Spec* spec = nullptr;  // shape, or maxshape where each frame has its own
    std::span<const std::int64_t> shape{};
    const std::byte* data = nullptr;
    std::size_t nbytes = 0;
};

// timeout: of `block` only; at its end Error(timeout).
struct PutOptions {
    Timeout timeout = forever;
    std::optional<std::int64_t> time_ns{};  // instead of the moment of publication
    std::string_view attrs_json{};
};

struct FrameRef;

// Immutable, and pinned while any copy of it lives. Copying is one atomic increment.
class Frame {
 public:
    // Errors: spec_mismatch (dtype, rank), invalid_argument (no such field).
    template <Element T, std::size_t N>
        requires std::is_const_v<T>
    ArrayView<T, N> view(std::string_view field = {}) const {
        const FieldView found = checked(field, Dtype::of<T>(), N);
        return detail::view_of<T, N>(const_cast<std::byte*>(found.data), found.shape,
                                     found.spec->order);
    }
    template <Element T>
    const T& value(std::string_view field = {}) const {  // 0-d: a scalar or a record
        return *reinterpret_cast<const T*>(checked(field, Dtype::of<T>(), 0).data);
    }
    std::span<const std::byte> bytes(std::string_view field = {}) const;
    // Holds the pin; READ_ONLY is set. The caller calls its deleter.
    DLManagedTensorVersioned* dlpack(std::string_view field = {}) const;

    std::uint64_t seq() const noexcept;
    std::uint64_t generation() const noexcept;
    std::int64_t time_ns() const noexcept;          // system_clock
    std::chrono::nanoseconds age() const noexcept;  // since publication; steady
    const std::string& attrs_json() const;          // "{}" when it has none
    FrameRef ref() const;
    std::size_t field_count() const noexcept;
    FieldView field(std::size_t index) const;
    std::size_t field_index(std::string_view name) const;  // Errors: invalid_argument
    std::string_view field_name(std::size_t index) const;
    bool is_object() const noexcept;
    // The same memory as long as the lease lives.
    std::shared_ptr<const std::byte> memory(std::size_t field_index) const;
    std::string_view name() const noexcept;
    // It may be the last that holds the stream's memory here: letting it go may take a while.
    bool holds_the_stream() const noexcept;

 private:
    friend class Subscriber;
    friend class Call;
    friend class Client;
    friend struct FrameRef;
    struct Impl;
    explicit Frame(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
    FieldView checked(std::string_view field, const Dtype& dtype, std::size_t rank) const;
    std::shared_ptr<const Impl> impl_;
};

// seq never goes back under a name, so it alone orders frames.
struct FrameRef {
    std::string name;
    std::uint64_t generation = 0, seq = 0;
    std::optional<Frame> get() const;  // nullopt: it is gone, or not there yet
    Frame get_or_throw() const;        // Errors: overwritten, not_found, with the reason
};

// A slot to fill, by any one thread. Destruction discards; publish() consumes.
class [[nodiscard]] Loan {
 public:
    Loan(Loan&&) noexcept;
    Loan& operator=(Loan&&) noexcept;
    ~Loan();
    template <Element T, std::size_t N>
    ArrayView<T, N> view(std::string_view field = {}) const {
        const FieldView found = checked(field, Dtype::of<T>(), N);
        return detail::view_of<T, N>(const_cast<std::byte*>(found.data), found.shape,
                                     found.spec->order);
    }
    template <Element T>
    T& value(std::string_view field = {}) const {
        return *reinterpret_cast<T*>(
            const_cast<std::byte*>(checked(field, Dtype::of<T>(), 0).data));
    }
    std::span<std::byte> bytes(std::string_view field = {}) const;
    // Fields with maxshape only. Errors: invalid_argument (another field, beyond maxshape).
    void resize(const Shape& shape, std::string_view field = {});
    void time_ns(std::int64_t stamp) noexcept;  // instead of the moment of publication
    void attrs_json(std::string text);          // 1 KiB. Errors: invalid_argument
    // The frame's number; nullopt: every slot was pinned, the frame was dropped and counted.
    // Errors: closed (published or discarded already), end_of_stream, replaced.
    std::optional<std::uint64_t> publish();
    void discard() noexcept;
    bool is_open() const noexcept;
    std::size_t field_count() const noexcept;
    FieldView field(std::size_t index) const;
    std::size_t field_index(std::string_view name) const;
    std::string_view field_name(std::size_t index) const;
    bool is_object() const noexcept;
    // The slot's memory as long as the lease lives. After publication it is the readers': do not
    // write through it.
    std::shared_ptr<std::byte> memory(std::size_t field_index) const;

 private:
    friend class Publisher;
    struct Impl;
    explicit Loan(std::unique_ptr<Impl> impl);
    FieldView checked(std::string_view field, const Dtype& dtype, std::size_t rank) const;
    std::unique_ptr<Impl> impl_;
};

class Publisher {
 public:
    // Nobody alive publishes at the name: the same fields and slots go on where it was, others
    // start new memory. Errors: exists (somebody publishes, and not shared), spec_mismatch
    // (shared), not_found (no fields given and no stream there), out_of_memory, forbidden,
    // invalid_argument.
    Publisher(std::string_view name, const PublisherOptions& options);
    explicit Publisher(std::string_view name);  // the stream's own fields
    Publisher(Publisher&&) noexcept;
    Publisher& operator=(Publisher&&) noexcept;
    ~Publisher();

    // drop_oldest: at once, always. block: nullopt when timeout is over. Errors: closed, replaced,
    // end_of_stream, corrupt.
    [[nodiscard]] Loan loan();
    [[nodiscard]] std::optional<Loan> loan(Timeout timeout);
    // A copy. 0-d streams: a scalar or a record. Errors: spec_mismatch, and loan's.
    template <Element T>
    std::optional<std::uint64_t> put(const T& value) {
        require(Dtype::of<T>(), 0);
        return put_bytes(std::as_bytes(std::span(&value, 1)));
    }
    template <Element T>
    std::optional<std::uint64_t> put(std::span<const T> values) {
        require(Dtype::of<T>(), kAnyRank);
        return put_bytes(std::as_bytes(values));
    }
    // All bytes of a frame of one field and one shape.
    std::optional<std::uint64_t> put_bytes(std::span<const std::byte> bytes,
                                           const PutOptions& options = {});
    // count frames of the same fixed shape, one after the other in values. How many were published.
    // block: stops when timeout is over.
    std::size_t put_many(std::span<const std::byte> values, std::size_t count,
                         Timeout timeout = forever);
    // No frame follows in this memory: subscribers drain what is there, then get() says
    // end_of_stream. close() and death are a pause.
    void end();
    bool wait_subscribers(int count = 1, Timeout timeout = forever);
    int subscriber_count() const;
    std::uint64_t dropped() const noexcept;  // by this publisher, because every slot was pinned
    std::string_view name() const noexcept;
    std::string_view full_name() const noexcept;
    // Errors of these: closed.
    Fields fields() const;
    bool is_object() const;
    int slots() const;
    std::uint64_t generation() const;
    std::size_t nbytes() const;  // memory of the stream
    // Who was in the way when a frame was dropped, or put() or loan() timed out.
    std::string blocked_by() const;
    std::string attrs_json() const;
    void update_attrs(const std::function<std::string(std::string_view)>& change);
    void close() noexcept;
    bool closed() const noexcept;

 private:
    friend class Loan;
    static constexpr std::size_t kAnyRank = ~std::size_t{0};
    void require(const Dtype& dtype, std::size_t rank) const;
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

class Subscriber {
 public:
    // Nobody needs to publish yet, or any more. Errors: invalid_argument.
    explicit Subscriber(std::string_view name, const SubscriberOptions& options = {});
    Subscriber(Subscriber&&) noexcept;
    Subscriber& operator=(Subscriber&&) noexcept;
    ~Subscriber();

    // The next frame in order, from the oldest that is still there; latest: the newest that this
    // handle has not had. nullopt: none in time. Errors: end_of_stream, closed, spec_mismatch,
    // corrupt, forbidden.
    std::optional<Frame> get(Timeout timeout = forever);
    // Up to count frames of a fixed shape, copied one after the other into out; waits for the
    // first only. How many.
    std::size_t get_many(std::span<std::byte> out, std::size_t count, Timeout timeout = forever);
    int publisher_count() const;
    std::uint64_t lost()
        const noexcept;         // frames that were overwritten before this handle got them
    std::uint64_t lag() const;  // frames published and not yet got
    std::string_view name() const noexcept;
    std::string_view full_name() const noexcept;
    bool latest() const noexcept;
    // Of the memory it is attached to, or would be; nullopt: there is none.
    std::optional<Fields> fields();
    bool is_object();
    std::string attrs_json();  // "{}" while there is no stream; publishers change them
    // Level-triggered: readable while get(0) would not say "nothing". Before there is a stream, and
    // when its name changes, once too often.
    int fileno();
    void close() noexcept;
    bool closed() const noexcept;

    // for (const Frame& frame : subscriber): until the stream ends or close().
    struct sentinel {};
    class iterator {
     public:
        using value_type = Frame;
        using difference_type = std::ptrdiff_t;
        explicit iterator(Subscriber* subscriber) : subscriber_(subscriber) { ++*this; }
        const Frame& operator*() const { return *frame_; }
        iterator& operator++();  // gives the old frame back before it waits: one pin, not two
        void operator++(int) { ++*this; }
        bool operator==(sentinel) const { return !frame_; }

     private:
        Subscriber* subscriber_;
        std::optional<Frame> frame_;
    };
    iterator begin() { return iterator(this); }
    sentinel end() const noexcept { return {}; }

 private:
    friend class Waitable;
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// Bytes a stream will take, its pages included, before it is made.
std::uint64_t footprint(const PublisherOptions& options);

}  // namespace ndshare
