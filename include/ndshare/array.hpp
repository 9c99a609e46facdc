// ndshare/array.hpp: typed N-d memory at a name, changed in place.
#pragma once
#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ndshare/error.hpp"
#include "ndshare/spec.hpp"
#include "ndshare/view.hpp"
#include "ndshare/wait.hpp"

namespace ndshare {

enum class Existing { error, adopt, replace };

// Where the memory lives and for whom. persistent: a file under NDSHARE_ROOT that survives its
// users; permissions and group then say who may open it (both bits, read and write, per class;
// never "others"). Without persistent the memory is the kernel's and the creator's alone.
struct Sharing {
    bool persistent = false;
    unsigned permissions = 0600;
    std::string group{};
};

// Options are at namespace scope: a nested aggregate with default members cannot be a default
// argument of its own class (g++ and clang). spin: how long a wait looks before it sleeps;
// negative: adaptive, 0: sleeps at once.
struct CreateOptions {
    Existing existing = Existing::error;
    std::string attrs_json{};
    Sharing sharing{};
    Timeout spin = Timeout(-1);
};
struct OpenOptions {
    bool writeable = false;
    std::optional<Spec> expect{};
    Timeout timeout = Timeout(0);
    Timeout spin = Timeout(-1);
    bool expect_shape = true;  // false: only the dtype of expect counts
    bool expect_dtype = true;  // false: only the shape of expect counts
    std::string full_name{};   // where to look instead of NDSHARE_NAMESPACE and name
};

namespace detail {
// REQUIRES: memory holds elements T in this shape of N dimensions.
template <class T, std::size_t N>
ArrayView<T, N> view_of(void* memory, std::span<const std::int64_t> shape, Order order) {
    std::array<std::int64_t, N> extents{}, strides{};
    std::int64_t step = 1;
    for (std::size_t k = 0; k < N; ++k) {
        const std::size_t axis = order == Order::c ? N - 1 - k : k;
        extents[axis] = shape[axis];
        strides[axis] = step;
        step *= shape[axis];
    }
    return {static_cast<T*>(memory), extents, strides};
}
}  // namespace detail

// Thrown where specs differ; holds both. Errc::spec_mismatch.
struct SpecMismatch : Error {
    SpecMismatch(const std::string& operation, const std::string& name, const Spec& expected,
                 const Spec& found, const std::string& field = {});
    Spec expected, found;
};

// Move-only handle. Threads: any, at once; close() from any thread wakes its waiters. Processes:
// any; after fork() the child's copy goes on under a place of its own.
// Blocks: create (reserving memory), read, write, wait.
// A view is valid while a handle of this memory, a Write or a memory() lease of this process lives.
// Errors: Error, see error.hpp; each member names those it adds to closed.
class Array {
 public:
    // name empty: a unique one is made. Errors: exists, spec_mismatch (adopt), invalid_argument,
    // out_of_memory, forbidden.
    [[nodiscard]] static Array create(std::string_view name, const Spec& spec,
                                      const CreateOptions& options = {});
    // data: spec.nbytes bytes, there before the name appears (adopt: one complete write).
    [[nodiscard]] static Array create(std::string_view name, const Spec& spec,
                                      std::span<const std::byte> data,
                                      const CreateOptions& options = {});
    // Errors: not_found (also at the end of timeout), spec_mismatch, corrupt, forbidden.
    [[nodiscard]] static Array open(std::string_view name, const OpenOptions& options = {});

    Array(Array&&) noexcept;
    Array& operator=(Array&&) noexcept;
    ~Array();

    std::string_view name() const noexcept;  // as given, without NDSHARE_NAMESPACE
    std::string_view full_name() const noexcept;
    const Spec& spec() const noexcept;
    std::size_t nbytes() const noexcept;
    std::uint64_t version() const noexcept;  // completed writes; 0 = never written
    std::uint64_t generation() const noexcept;
    bool writeable() const noexcept;
    bool persistent() const noexcept;
    bool closed() const noexcept;
    bool replaced() const;     // the name has other memory now
    std::string path() const;  // opens with numpy.load(path, mmap_mode="r+")

    // Live memory, unsynchronised. Errors: spec_mismatch for another dtype or rank, forbidden for
    // a mutable view of a read-only handle.
    template <Element T, std::size_t N>
    ArrayView<T, N> view() const {
        return detail::view_of<T, N>(data(Dtype::of<T>(), N, !std::is_const_v<T>), spec().shape,
                                     spec().order);
    }
    std::span<const std::byte> bytes() const;
    std::span<std::byte> mutable_bytes() const;
    // The same memory, mapped as long as the lease lives, whatever becomes of the handle.
    std::shared_ptr<std::byte> memory() const;

    // A consistent copy among writers that use write() or assign(); false: timed out (a writer is
    // stopped in its write). Errors: incomplete_write.
    bool read(std::span<std::byte> out, Timeout timeout = forever) const;
    // The same for a part: copy is called until one call ran while nobody wrote (so with torn bytes
    // before that); its exceptions pass. Errors: incomplete_write.
    bool read(const std::function<void(std::span<const std::byte>)>& copy,
              Timeout timeout = forever) const;
    template <Element T>
    std::optional<T> read_value(Timeout timeout = forever) const;  // 0-d: one scalar or record

    // Exclusive write. commit() publishes; destruction without it leaves the array incomplete for
    // everybody, as an exception in Python's block does. Ends in the process that began it only.
    class [[nodiscard]] Write {
     public:
        Write(Write&&) noexcept;
        Write& operator=(Write&&) = delete;
        ~Write();
        template <Element T, std::size_t N>
        ArrayView<T, N> view() const {
            return detail::view_of<T, N>(data(Dtype::of<T>(), N), spec().shape, spec().order);
        }
        std::span<std::byte> bytes() const;
        void commit();
        // REQUIRES: no byte was changed. Ends it without harm: counted as a write that changed
        // nothing; an array that was incomplete before stays so.
        void cancel();

     private:
        friend class Array;
        struct State;
        explicit Write(std::unique_ptr<State> state);
        void end(bool commit);
        void* data(const Dtype& dtype, std::size_t rank) const;
        const Spec& spec() const noexcept;
        std::unique_ptr<State> state_;
    };
    // nullopt: timed out. Errors: forbidden (read-only), incomplete_write unless recover,
    // invalid_argument (this thread is writing already), replaced.
    [[nodiscard]] std::optional<Write> write(Timeout timeout = forever, bool recover = false);
    // One complete write; heals an incomplete one.
    template <Element T>
    void assign(std::span<const T> all);
    void assign_bytes(std::span<const std::byte> all, Timeout timeout = forever);

    // What the cursor of wait() stands at; saw() moves it forwards by hand.
    std::uint64_t seen() const noexcept;
    void saw(std::uint64_t version);
    // The version, once it is newer than what this handle had read, written or waited for when
    // wait() was called (or than since); nullopt: not in time. Errors: incomplete_write, replaced.
    std::optional<std::uint64_t> wait(Timeout timeout = forever,
                                      std::optional<std::uint64_t> since = {});
    // Level-triggered: readable while wait(0) would return; only for poll, select and epoll.
    // A peer that dies between its write and its ring is heard at the next write: give the poll a
    // timeout. Threads: one.
    int fileno();

    // Small JSON object shared by all holders, 16 KiB. update: old text in, new text out, one
    // change among processes; an exception of change leaves the old. Errors: forbidden
    // (read-only), invalid_argument (too large, or no JSON object).
    std::string attrs_json() const;
    void update_attrs(const std::function<std::string(std::string_view)>& change);

    // The process that is inside write(), 0: none; and what to say when it did not let go in time.
    std::uint32_t writer_pid() const;
    std::string writer_text() const;

    void unlink();  // this memory's name only, never a successor's; not there: no error
    void close() noexcept;

 private:
    friend class Waitable;
    struct Impl;
    explicit Array(std::shared_ptr<Impl> impl);
    static Array make(std::string_view name, const Spec& spec,
                      const std::optional<std::span<const std::byte>>& data,
                      const CreateOptions& options);
    void* data(const Dtype& dtype, std::size_t rank, bool writeable) const;
    std::shared_ptr<Impl> impl_;
};

template <Element T>
std::optional<T> Array::read_value(Timeout timeout) const {
    (void)data(Dtype::of<T>(), 0, false);
    T value;
    if (!read(std::as_writable_bytes(std::span(&value, 1)), timeout)) return std::nullopt;
    return value;
}

template <Element T>
void Array::assign(std::span<const T> all) {
    (void)data(Dtype::of<T>(), spec().shape.size(), true);
    assign_bytes(std::as_bytes(all));
}

}  // namespace ndshare
