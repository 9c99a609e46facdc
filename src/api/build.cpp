#include "api/build.h"

#include <cstring>

#include "api/book.h"
#include "base/check.h"
#include "base/fault.h"
#include "layout/control.h"
#include "layout/dtype.h"
#include "layout/name.h"
#include "layout/npy.h"
#include "platform/folder.h"
#include "platform/memory.h"
#include "platform/process.h"
#include "sync/slot_ring.h"

namespace ndshare::api {
namespace {

constexpr unsigned kPermissionsForOthers = 0007;
// Both bits of a class or none: even a reader writes the control words.
bool is_whole_class(unsigned bits) { return bits == 0 || bits == 6; }

void require_sharing(const Sharing& sharing) {
    if ((sharing.permissions & kPermissionsForOthers) != 0) {
        throw Invalid(
            "permissions must not let everybody in (the last octal digit is 0); name a "
            "group instead");
    }
    const bool classes =
        sharing.permissions <= 0770 && is_whole_class((sharing.permissions >> 6) & 7) &&
        is_whole_class((sharing.permissions >> 3) & 7) && (sharing.permissions & 0600) == 0600;
    if (!classes) {
        throw Invalid("permissions must be 0o600 or 0o660: readers write the control words too");
    }
    if (!sharing.persistent && (sharing.permissions != 0600 || !sharing.group.empty())) {
        throw Invalid(
            "permissions and group need persistent=True: memory that the kernel holds "
            "is its creator's alone");
    }
}

// What every plan has, whatever lies in it.
layout::SegmentPlan plan_anything(const std::string& full_name, const Sharing& sharing) {
    require_sharing(sharing);
    layout::SegmentPlan plan;
    plan.full_name = full_name;
    plan.persistent = sharing.persistent;
    plan.uid = platform::identity().uid;
    plan.pid_namespace = platform::identity().pid_namespace;
    plan.book = sharing.persistent ? 0 : book_id();
    // Rounded up so that a file made here also opens where pages are larger.
    plan.page_bytes = static_cast<std::uint32_t>(
        sharing.persistent ? std::max<std::uint64_t>(platform::page_bytes(), 65536)
                           : platform::page_bytes());
    return plan;
}

}  // namespace

layout::SegmentPlan plan_array(const std::string& full_name, const Spec& spec,
                               const Sharing& sharing) {
    if (!spec.maxshape.empty()) throw Invalid("an array has a shape; maxshape is for streams");
    layout::SegmentPlan plan = plan_anything(full_name, sharing);
    const auto meaning = layout::parse_dtype(spec.dtype.str());
    plan.dtype = meaning.canonical;
    plan.itemsize = meaning.itemsize;
    plan.shape = spec.shape;
    plan.fortran = spec.order == Order::fortran;
    plan.aligned = spec.aligned;
    plan.data_bytes = layout::data_bytes_of(spec.shape, meaning.itemsize);
    plan.npy_header = layout::make_npy_header(meaning.npy_descr, plan.fortran, spec.shape);
    return plan;
}

layout::SegmentPlan plan_stream(const std::string& full_name, const layout::SlotPlan& slot,
                                std::size_t slot_count, std::uint64_t first_seq,
                                const Sharing& sharing) {
    if (slot_count < layout::kSlotsMin || slot_count > layout::kSlotsMax) {
        throw Invalid("slots must be " + std::to_string(layout::kSlotsMin) + " to " +
                      std::to_string(layout::kSlotsMax) + ", got " + std::to_string(slot_count));
    }
    layout::SegmentPlan plan = plan_anything(full_name, sharing);
    plan.kind = layout::kKindStream;
    plan.dtype = layout::fields_text(slot.fields);
    plan.itemsize = slot.slot_bytes;
    plan.shape = {static_cast<std::int64_t>(slot_count)};
    plan.first_seq = first_seq;
    plan.data_bytes = layout::data_bytes_of(plan.shape, plan.itemsize);
    plan.npy_header = layout::make_npy_header(layout::npy_descr_of_pool(slot), false, plan.shape);
    return plan;
}

layout::SegmentPlan plan_service(const std::string& full_name, const layout::ServicePlan& pool,
                                 const WorkerOptions& options) {
    layout::SegmentPlan plan = plan_anything(full_name, options.sharing);
    plan.kind = layout::kKindService;
    plan.dtype = layout::service_text(pool);
    plan.itemsize = pool.pool_bytes;
    plan.shape = {1};
    plan.slot_count = static_cast<std::uint32_t>(options.slots);
    plan.retries = static_cast<std::uint32_t>(options.retries);
    plan.data_bytes = pool.pool_bytes;
    plan.npy_header = layout::make_npy_header(layout::npy_descr_of_pool(pool, plan.slot_count),
                                              false, plan.shape);
    return plan;
}

std::uint64_t footprint_of(const layout::SegmentPlan& plan) {
    return footprint_of(layout::describe(plan));
}

std::uint64_t footprint_of(const layout::Descriptor& d) {
    const std::uint64_t page = layout::kDescriptorPageBytes;
    const std::uint64_t tail = std::min(d.dtype_offset_bytes, d.file_bytes - page) / page * page;
    return d.control_offset_bytes + page + (d.control_bytes - layout::kControlBytes) +
           (d.file_bytes - tail);
}

void require_sharable() {
    require_proc();
    if (!platform::is_dumpable()) {
        throw Refused(
            "no other process could open it: this one is not dumpable (it changed its user "
            "without exec, or called prctl). Call prctl(PR_SET_DUMPABLE, 1), or create with "
            "persistent=True");
    }
}

void require_attrs(std::string_view text) {
    if (text.empty()) return;
    if (text.size() > layout::kAttrsCapacityBytes) {
        throw Invalid("attrs take " + std::to_string(text.size()) + " bytes as JSON, at most " +
                      std::to_string(layout::kAttrsCapacityBytes) +
                      " fit; put large values into an array of their own");
    }
    if (text.front() != '{' || text.back() != '}') throw Invalid("attrs must be a JSON object");
}

Build::Build(layout::SegmentPlan plan, const Sharing& sharing,
             const std::optional<std::span<const std::byte>>& data, std::string_view attrs_json)
    : plan_(std::move(plan)), has_data_(data.has_value()) {
    platform::random_bytes(plan_.uuid, sizeof plan_.uuid);
    descriptor_ = layout::describe(plan_);
    const layout::Descriptor& d = descriptor_;
    if (plan_.persistent) {
        std::optional<std::uint32_t> gid;
        if (!sharing.group.empty()) {
            gid = platform::group_id(sharing.group);
            if (!gid) throw Invalid("there is no group \"" + sharing.group + "\"");
        }
        fd_ = make_persistent_file(plan_.full_name, 0600);
        platform::set_owner_and_mode(fd_.get(), gid, sharing.permissions);
        platform::set_length(fd_.get(), d.file_bytes);
    } else {
        fd_ = platform::make_memory(layout::memfd_name(plan_.full_name), d.file_bytes);
    }
    // All that will ever be touched, but for the rows and attributes that come later: header, data,
    // the first control page; the pages of the descriptor.
    const std::uint64_t page = layout::kDescriptorPageBytes;
    const std::uint64_t tail = std::min(d.dtype_offset_bytes, d.file_bytes - page) / page * page;
    platform::reserve(fd_.get(), {{0, d.control_offset_bytes + page},
                                  {d.control_offset_bytes + layout::kControlBytes,
                                   d.control_bytes - layout::kControlBytes},
                                  {tail, d.file_bytes - tail}});
    NDSHARE_FAULT_POINT("build.after_reserve");

    platform::write_exactly(fd_.get(), plan_.npy_header.data(), plan_.npy_header.size(), 0);
    if (data) {
        platform::write_exactly(fd_.get(), data->data(), data->size(), d.data_offset_bytes);
    }
    NDSHARE_FAULT_POINT("build.after_data");
    if (!attrs_json.empty()) {
        const std::uint64_t attrs = d.control_offset_bytes + layout::kAttrsOffset;
        platform::reserve(fd_.get(), {{attrs, 2 * layout::kAttrsCapacityBytes}});
        // Change number 1, which is odd: the second place.
        const std::uint64_t count = 1;
        const auto bytes = static_cast<std::uint32_t>(attrs_json.size());
        platform::write_exactly(fd_.get(), attrs_json.data(), bytes,
                                attrs + layout::kAttrsCapacityBytes);
        platform::write_exactly(
            fd_.get(), &bytes, sizeof bytes,
            d.control_offset_bytes + offsetof(layout::ControlWords, attrs_bytes) + sizeof bytes);
        platform::write_exactly(fd_.get(), &count, sizeof count,
                                d.control_offset_bytes + offsetof(layout::ControlWords, attrs));
    }
}

std::shared_ptr<Segment> Build::finish(std::uint64_t generation) {
    plan_.generation = generation;
    descriptor_ = layout::describe(plan_);
    const layout::Descriptor& d = descriptor_;
    const std::string pages = layout::descriptor_pages(d, plan_.dtype);
    platform::write_exactly(fd_.get(), pages.data(), pages.size(), d.file_bytes - pages.size());
    if (has_data_) {
        const std::uint64_t one_write = 2;
        platform::write_exactly(fd_.get(), &one_write, sizeof one_write,
                                d.control_offset_bytes + offsetof(layout::ControlWords, version));
    }
    if (plan_.kind == layout::kKindStream) {
        const auto put = [&](std::size_t offset, std::uint64_t value) {
            platform::write_exactly(fd_.get(), &value, sizeof value,
                                    d.control_offset_bytes + offset);
        };
        put(offsetof(layout::ControlWords, latest), plan_.first_seq << sync::kSeqShift);
        put(offsetof(layout::ControlWords, seq_anchor), plan_.first_seq);
        put(offsetof(layout::ControlWords, first_seq), plan_.first_seq);
    }
    if (plan_.kind == layout::kKindService) {
        platform::write_exactly(fd_.get(), &plan_.retries, sizeof plan_.retries,
                                d.control_offset_bytes + layout::kControlBytes +
                                    offsetof(layout::ServiceWords, retries));
    }
    if (!plan_.persistent) platform::seal_memory(fd_.get());
    auto description = layout::read_descriptor_page(
        std::string_view(pages).substr(pages.size() - layout::kDescriptorPageBytes), d.file_bytes,
        platform::page_bytes());
    if (description.name.empty()) layout::accept_dtype(description, plan_.dtype);
    const auto status = platform::status_of(fd_.get());
    auto segment = Segment::attach(std::move(fd_), {status.device, status.inode},
                                   std::move(description), true);
    NDSHARE_FAULT_POINT("build.before_live");
    const std::uint32_t live = layout::kLive;
    platform::write_exactly(segment->fd(), &live, sizeof live,
                            d.control_offset_bytes + offsetof(layout::ControlWords, state));
    NDSHARE_FAULT_POINT("build.after_live");
    return segment;
}

}  // namespace ndshare::api
