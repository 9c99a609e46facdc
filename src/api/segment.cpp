#include "api/segment.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "api/book.h"
#include "api/fork_mutex.h"
#include "base/check.h"
#include "base/fault.h"
#include "platform/folder.h"
#include "platform/fork_hooks.h"
#include "platform/memory.h"
#include "platform/process.h"
#include "platform/time_namespace.h"
#include "sync/peer_rows.h"

namespace ndshare::api {
namespace {

// Small mappings are not worth a system call at each attach: a dump of 64 KiB costs nothing.
constexpr std::size_t kExcludeFromDumpsBytes = 64 << 10;

// What this process holds. A Segment stays listed until its destructor has the mutex, so the fork
// hooks, which have it, see every mapping there is.
struct Held {
    std::mutex mutex;
    std::map<MemoryId, std::pair<Segment*, std::weak_ptr<Segment>>> segments;
    std::vector<Segment*> ending;  // replaced in the map by a newer attachment, not yet unmapped
    std::vector<int> closed_in_child;
};
Held& held() {
    static auto* all = new Held;  // never destroyed: views may outlive static destructors
    return *all;
}

sync::PeerIdentity signature(int fd) {
    return {platform::identity().pid_in_proc, static_cast<std::uint32_t>(fd),
            platform::identity().pid_namespace};
}

}  // namespace

struct ForkHandler {
    static void install() {
        static const bool once = [] {
            (void)platform::identity();
            platform::look_at_time_namespace();  // a fork before was without the hooks
            platform::install_fork_hooks({&prepare, &parent, &child});
            std::atexit(&hand_over_all_names);
            return true;
        }();
        (void)once;
    }
    template <class Step>
    static void each(Step step) {
        for (auto& [id, entry] : held().segments) step(*entry.first);
        for (Segment* segment : held().ending) step(*segment);
    }
    static void prepare() {
        ForkMutex::lock_all();
        bells_mutex().lock();
        lock_for_fork();
        held().mutex.lock();
        each([](Segment& s) { s.prepare_fork(); });
    }
    static void parent() {
        each([](Segment& s) { s.finish_fork_in_parent(); });
        unlock_all();
    }
    static void child() {
        platform::refresh_identity();
        each([](Segment& s) { s.finish_fork_in_child(); });
        for (const int fd : held().closed_in_child) platform::Fd{fd}.reset();
        held().closed_in_child.clear();
        platform::accept_fork();
        unlock_all();
    }
    static void unlock_all() {
        held().mutex.unlock();
        unlock_after_fork();
        bells_mutex().unlock();
        ForkMutex::unlock_all();
    }
};

std::mutex& bells_mutex() {
    static auto* mutex = new std::mutex;
    return *mutex;
}

std::shared_ptr<Segment> Segment::attach(platform::Fd fd, const MemoryId& id,
                                         layout::Description description, bool writeable) {
    ForkHandler::install();
    // Outlive the lock: a destructor takes that too.
    std::shared_ptr<Segment> living, made;
    std::unique_ptr<Segment> fresh;
    const std::lock_guard lock(held().mutex);
    const auto found = held().segments.find(id);
    if (found != held().segments.end()) living = found->second.second.lock();
    if (living) return living;
    try {
        fresh.reset(new Segment(std::move(fd), id, std::move(description), writeable));
    } catch (const sync::DoorIsShut&) {
        return nullptr;
    }
    made = std::move(fresh);
    if (found != held().segments.end()) {
        held().ending.push_back(found->second.first);
        found->second = {made.get(), made};
    } else {
        held().segments.emplace(id, std::pair(made.get(), std::weak_ptr(made)));
    }
    return made;
}

Segment::Segment(platform::Fd fd, const MemoryId& id, layout::Description description,
                 bool writeable)
    : id_(id),
      description_(std::move(description)),
      fd_(std::move(fd)),
      writeable_first_(writeable) {
    try {
        map_whole(fd_.get(), nullptr);
        control_ = layout::Control(whole_ + data_span_bytes());
        NDSHARE_FAULT_POINT("segment.after_map");
        owner_ = sync::take_row(fd_.get(), control_, signature(fd_.get()),
                                [this](std::size_t row) { reserve_row(fd_.get(), row); });
    } catch (...) {
        unmap_all();
        throw;
    }
    ground_ = sync::Ground(fd_.get(), control_, own_row(), {id_.device, id_.inode});
}

Segment::~Segment() {
    if (!lost_in_fork_ && !platform::was_forked_raw() && is_named()) pass_name_on(*this);
    const std::lock_guard lock(held().mutex);
    const auto found = held().segments.find(id_);
    if (found != held().segments.end() && found->second.first == this) {
        held().segments.erase(found);
    } else {
        std::erase(held().ending, this);
    }
    if (!lost_in_fork_ && !platform::was_forked_raw()) sync::clear_row(control_, own_row());
    unmap_all();
    if (!fd_is_still_ours()) (void)fd_.release();
    fd_.reset();
}

bool is_live(Segment& segment) {
    const std::uint32_t state = sync::Atomics::load_seq_cst(segment.control().words().state);
    if (state == layout::kLive || state == layout::kReplacing) return true;
    if (state == layout::kReplaced || state == layout::kUnlinked) return false;
    throw CorruptBytes("it is in no state that this library knows");
}

bool is_replaced(Segment& segment) noexcept {
    const std::string& name = segment.description().name;
    auto& word = segment.control().words().state;
    try {
        // SYNC(state): early news; where it is missing the book is asked.
        std::uint32_t state = sync::Atomics::load_acquire(word);
        if (state == layout::kReplacing) {
            try {
                (void)NameChange(name, platform::Deadline(0)).find();
            } catch (const TimedOut&) {
                // He lives; the link says how far he is.
            }
            state = sync::Atomics::load_acquire(word);
        }
        if (state == layout::kReplaced) return true;
        if (where_leads(name, segment.id()) != Leads::elsewhere) return false;
        // What one was told stays true, also when the new memory goes with its maker.
        if (state != layout::kUnlinked) {
            sync::Atomics::store_release(word, static_cast<std::uint32_t>(layout::kReplaced));
        }
        return true;
    } catch (const std::exception&) {
        return false;  // not to be seen: nothing is known against it
    }
}

void take_name(Segment& segment) {
    const std::string& name = segment.description().name;
    if (segment.persistent()) return;
    try {
        NameChange change(name, platform::Deadline(0));
        if (where_leads(name, segment.id()) == Leads::here) change.take(segment);
    } catch (const std::exception&) {
        // It works without; only the next opener is slower.
    }
}

// The hint lies with the memory, since an heir does not know that it inherited: pass_name_on()
// looks where the link really leads, so a wrong one costs a look, or a link that is found by
// search.
void Segment::set_named() { sync::Atomics::store_release(control_.words().named, owner()); }
void Segment::name_heir(std::size_t row) const {
    const std::uint64_t epoch = sync::Atomics::load_acquire(control_.row(row).epoch);
    sync::Atomics::store_release(control_.words().named, sync::owner_word(row, epoch));
}
void Segment::clear_named() {
    sync::Atomics::store_release(control_.words().named, std::uint64_t{0});
}
bool Segment::is_named() const {
    return !persistent() && sync::Atomics::load_acquire(control_.words().named) == owner();
}

bool Segment::is_lost() const { return lost_in_fork_ || platform::was_forked_raw(); }

void Segment::add_fork_part(ForkPart* part) {
    const std::lock_guard lock(held().mutex);
    fork_parts_.push_back(part);
}

void Segment::remove_fork_part(ForkPart* part) noexcept {
    const std::lock_guard lock(held().mutex);
    std::erase(fork_parts_, part);
}

void Segment::require_attached() const {
    if (platform::was_forked_raw()) {
        throw Invalid("this process was made by clone() without fork handlers; open it again");
    }
    if (lost_in_fork_) {
        throw Invalid(
            "fork() could not give this child a place in it (descriptors or peers used "
            "up); open it again");
    }
}

void Segment::map_whole(int fd, std::byte* at) {
    // One mapping and, for readers, one change of it: a third cheaper than two mappings.
    whole_ = platform::map(fd, 0, file_span_bytes(), true, at);
    if (!writeable_first_) platform::make_read_only(whole_, data_span_bytes());
    if (data_span_bytes() >= kExcludeFromDumpsBytes) {
        platform::exclude_from_dumps(whole_, data_span_bytes());
    }
}

std::byte* Segment::map_other(int fd, std::byte* at) const {
    std::byte* made = platform::map(fd, 0, data_span_bytes(), !writeable_first_, at);
    if (data_span_bytes() >= kExcludeFromDumpsBytes) {
        platform::exclude_from_dumps(made, data_span_bytes());
    }
    return made;
}

void Segment::reserve_row(int fd, std::size_t row) const {
    const std::uint64_t page = layout::kDescriptorPageBytes;
    const std::uint64_t offset = (layout::kRowsOffset + row * sizeof(layout::Row)) / page * page;
    if (offset == 0) return;  // the first page is reserved at creation
    platform::reserve(fd, {{description_.fields.control_offset_bytes + offset, page}});
}

void Segment::reserve_attrs() {
    platform::reserve(fd(), {{description_.fields.control_offset_bytes + layout::kAttrsOffset,
                              2 * layout::kAttrsCapacityBytes}});
}

std::byte* Segment::data(bool writeable) {
    if (writeable == writeable_first_) return whole_ + description_.fields.data_offset_bytes;
    const std::lock_guard lock(held().mutex);
    if (other_ == nullptr) other_ = map_other(fd_.get(), nullptr);
    return other_ + description_.fields.data_offset_bytes;
}

void Segment::reserve_bells() {
    platform::reserve(fd(), {{description_.fields.control_offset_bytes + layout::kBellsOffset,
                              layout::kBellCount * sizeof(layout::Bell)}});
}

void Segment::unmap_all() noexcept {
    if (other_ != nullptr) platform::unmap(std::exchange(other_, nullptr), data_span_bytes());
    if (whole_ != nullptr) platform::unmap(std::exchange(whole_, nullptr), file_span_bytes());
}

bool Segment::fd_is_still_ours() const noexcept {
    // closefrom(3) and the like close descriptors behind our back; the number may be a stranger's.
    try {
        const auto status = platform::status_of(fd_.get());
        return MemoryId{status.device, status.inode} == id_;
    } catch (const SystemError&) {
        return false;
    }
}

void Segment::prepare_fork() noexcept {
    child_fd_.reset();
    if (lost_in_fork_) return;
    try {
        // A description of the child's own: a lock belongs to the description, not the process.
        auto fd =
            platform::open_file(-1,
                                platform::descriptor_path(platform::identity().pid_in_proc,
                                                          static_cast<std::uint32_t>(fd_.get()))
                                    .c_str(),
                                true);
        if (!fd || !fd_is_still_ours()) return;
        child_owner_ = sync::take_row_unsigned(
            fd->get(), control_, [&](std::size_t row) { reserve_row(fd->get(), row); });
        for (ForkPart* part : fork_parts_) {
            if (!part->prepare_fork(child_owner_)) return;
        }
        child_fd_ = std::move(*fd);
        NDSHARE_FAULT_POINT("fork.after_child_row");
    } catch (...) {
        child_fd_.reset();
    }
}

void Segment::finish_fork_in_parent() noexcept { child_fd_.reset(); }

void Segment::finish_fork_in_child() noexcept {
    NDSHARE_FAULT_POINT_QUIET("fork.in_child");
    write_local_.reset();
    attrs_local_.reset();
    try {
        if (!child_fd_) throw Invalid("no description");
        // An inherited mapping would keep the parent's row locked after the parent's death.
        map_whole(child_fd_.get(), whole_);
        if (other_ != nullptr) (void)map_other(child_fd_.get(), other_);
        platform::move_descriptor(child_fd_, fd_);
        owner_ = child_owner_;
        ground_ = sync::Ground(fd_.get(), control_, own_row(), {id_.device, id_.inode});
        for (ForkPart* part : fork_parts_) part->finish_fork_in_child();
        sync::sign_row(control_, own_row(), signature(fd_.get()));
    } catch (...) {
        lost_in_fork_ = true;
        child_fd_.reset();
        platform::map_zeros(whole_, file_span_bytes());
        if (other_ != nullptr) platform::map_zeros(other_, data_span_bytes());
        if (!fd_is_still_ours()) (void)fd_.release();
        fd_.reset();
    }
}

Segment::ClosedInChild::ClosedInChild(int fd) : fd_(fd) {
    ForkHandler::install();
    const std::lock_guard lock(held().mutex);
    held().closed_in_child.push_back(fd);
}

Segment::ClosedInChild::~ClosedInChild() {
    const std::lock_guard lock(held().mutex);
    std::erase(held().closed_in_child, fd_);
}

void hand_over_all_names() noexcept {
    // Never destroyed: views may still be used by later exit handlers, and the process ends anyway.
    static auto& living = *new std::vector<std::shared_ptr<Segment>>;
    {
        const std::lock_guard lock(held().mutex);
        for (auto& [id, entry] : held().segments) {
            if (auto segment = entry.second.lock()) living.push_back(std::move(segment));
        }
    }
    for (auto& segment : living) {
        if (!segment->lost_in_fork_ && segment->is_named()) {
            pass_name_on(*segment);
            segment->clear_named();
        }
    }
}

}  // namespace ndshare::api
