#include "layout/descriptor.h"

#include <cstring>
#include <limits>

#include "base/check.h"
#include "layout/control.h"
#include "layout/dtype.h"
#include "layout/hash.h"
#include "layout/name.h"
#include "layout/npy.h"
#include "layout/service.h"
#include "layout/stream.h"

namespace ndshare::layout {
namespace {

constexpr std::uint64_t kFileBytesMax = std::numeric_limits<std::int64_t>::max() / 2;

std::uint64_t round_up(std::uint64_t value, std::uint64_t step) {
    return (value + step - 1) / step * step;
}

std::uint64_t checksum_of(Descriptor descriptor, std::string_view dtype) {
    descriptor.checksum = 0;
    const std::string_view fields(reinterpret_cast<const char*>(&descriptor), sizeof descriptor);
    return hash_bytes(dtype, hash_bytes(fields));
}

void require(bool good, const char* what) {
    if (!good) throw CorruptBytes(std::string("the descriptor is damaged (") + what + ")");
}

std::uint64_t itemsize_of(const Descriptor& d, std::string_view dtype) {
    switch (d.kind) {
        case kKindStream:
            return plan_slot_of(dtype).slot_bytes;
        case kKindService:
            return plan_service_of(dtype, d.slot_count).pool_bytes;
        default:
            return parse_dtype(dtype).itemsize;
    }
}

// The offsets that the sizes alone decide; creation and validation both take them from here.
struct Places {
    std::uint64_t control_offset, dtype_offset, file_bytes;
};
Places places_of(std::uint64_t header_bytes, std::uint64_t data_bytes, std::uint64_t control_bytes,
                 std::uint64_t dtype_bytes, std::uint64_t page_bytes) {
    Places places{};
    places.control_offset = round_up(header_bytes + data_bytes, page_bytes);
    const std::uint64_t long_text_bytes =
        dtype_bytes <= kDtypeInlineBytes ? 0 : round_up(dtype_bytes, kDescriptorPageBytes);
    places.file_bytes = round_up(
        places.control_offset + control_bytes + long_text_bytes + kDescriptorPageBytes, page_bytes);
    const std::uint64_t page = places.file_bytes - kDescriptorPageBytes;
    places.dtype_offset = long_text_bytes == 0 ? page + sizeof(Descriptor) : page - long_text_bytes;
    return places;
}

}  // namespace

std::uint64_t data_bytes_of(const std::vector<std::int64_t>& shape, std::uint64_t itemsize) {
    if (shape.size() > kDimsMax) {
        throw Invalid("shape has " + std::to_string(shape.size()) + " dimensions, at most " +
                      std::to_string(kDimsMax) + " are possible");
    }
    // An extent of 0 makes the array empty whatever the others are, so overflow is looked for last.
    bool empty = itemsize == 0, overflow = false;
    std::uint64_t bytes = itemsize;
    for (const std::int64_t extent : shape) {
        if (extent < 0) {
            throw Invalid("shape must not be negative, got " + std::to_string(extent));
        }
        if (extent == 0) empty = true;
        overflow |= __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes);
    }
    if (empty) return 0;
    if (overflow || bytes > kFileBytesMax) {
        throw Invalid("shape and dtype need more than 2^62 bytes");
    }
    return bytes;
}

Descriptor describe(const SegmentPlan& plan) {
    Descriptor d{};
    std::memcpy(d.magic, kMagic, sizeof kMagic);
    d.layout_version = kLayoutVersion;
    d.byte_order_mark = kByteOrderMark;
    d.kind = plan.kind;
    d.flags = (plan.fortran ? kFlagFortran : 0U) | (plan.aligned ? kFlagAligned : 0U) |
              (plan.persistent ? kFlagPersistent : 0U);
    d.generation = plan.generation;
    std::memcpy(d.uuid, plan.uuid, sizeof d.uuid);
    d.uid = plan.uid;
    d.page_bytes = plan.page_bytes;
    d.pid_namespace = plan.pid_namespace;
    d.data_offset_bytes = plan.npy_header.size();
    d.data_bytes = plan.data_bytes;
    d.control_bytes = kControlBytes;
    if (plan.kind == kKindStream) {
        d.slot_count = static_cast<std::uint32_t>(plan.shape.at(0));
        d.end_count = kEndCount;
        d.frame_attrs_bytes = kFrameAttrsBytes;
        d.control_bytes = control_bytes_of_stream(d.slot_count);
    } else if (plan.kind == kKindService) {
        d.slot_count = plan.slot_count;
        d.end_count = kEndCount;
        d.control_bytes = control_bytes_of_service(d.slot_count);
    }
    d.itemsize_bytes = plan.itemsize;
    d.dtype_bytes = static_cast<std::uint32_t>(plan.dtype.size());
    const Places places =
        places_of(d.data_offset_bytes, d.data_bytes, d.control_bytes, d.dtype_bytes, d.page_bytes);
    d.control_offset_bytes = places.control_offset;
    d.dtype_offset_bytes = places.dtype_offset;
    d.file_bytes = places.file_bytes;
    d.row_count = kRowCount;
    d.bell_count = kBellCount;
    d.attrs_capacity_bytes = kAttrsCapacityBytes;
    d.dim_count = static_cast<std::uint32_t>(plan.shape.size());
    for (std::size_t k = 0; k < plan.shape.size(); ++k) d.shape[k] = plan.shape[k];
    d.name_bytes = static_cast<std::uint32_t>(plan.full_name.size());
    std::memcpy(d.name, plan.full_name.data(), plan.full_name.size());
    d.book = plan.book;
    d.checksum = checksum_of(d, plan.dtype);
    return d;
}

std::string descriptor_pages(Descriptor descriptor, std::string_view dtype) {
    const std::uint64_t page = descriptor.file_bytes - kDescriptorPageBytes;
    const std::uint64_t begin = std::min(descriptor.dtype_offset_bytes, page);
    std::string out(descriptor.file_bytes - begin, '\0');
    std::memcpy(out.data() + (page - begin), &descriptor, sizeof descriptor);
    std::memcpy(out.data() + (descriptor.dtype_offset_bytes - begin), dtype.data(), dtype.size());
    return out;
}

Description read_descriptor_page(std::string_view page, std::uint64_t file_bytes,
                                 std::uint64_t system_page_bytes) {
    Description description{};
    Descriptor& d = description.fields;
    require(page.size() == kDescriptorPageBytes, "too short");
    std::memcpy(&d, page.data(), sizeof d);
    if (std::memcmp(d.magic, kMagic, sizeof kMagic) != 0) {
        throw CorruptBytes("it is no ndshare segment (its last page has no descriptor)");
    }
    if (d.byte_order_mark != kByteOrderMark) {
        throw CorruptBytes("it was written by a machine of the other byte order, or is damaged");
    }
    if (d.layout_version != kLayoutVersion) {
        throw CorruptBytes("its layout version is " + std::to_string(d.layout_version) +
                           ", this library speaks " + std::to_string(kLayoutVersion) +
                           "; use the ndshare release that wrote it");
    }
    if (d.file_bytes != file_bytes) {
        throw CorruptBytes("it has " + std::to_string(file_bytes) + " bytes, its descriptor says " +
                           std::to_string(d.file_bytes) + ": truncated or damaged");
    }
    require(d.page_bytes >= 4096 && (d.page_bytes & (d.page_bytes - 1)) == 0, "page size");
    if (d.page_bytes % system_page_bytes != 0) {
        throw CorruptBytes("it was made for pages of " + std::to_string(d.page_bytes) +
                           " bytes, this system has " + std::to_string(system_page_bytes));
    }
    require((d.flags & ~kFlagsKnown) == 0, "flags");
    require(d.dim_count <= kDimsMax, "number of dimensions");
    require(d.name_bytes >= 1 && d.name_bytes <= kFullNameBytesMax, "length of the name");
    require(d.row_count == kRowCount && d.bell_count == kBellCount &&
                d.attrs_capacity_bytes == kAttrsCapacityBytes,
            "size of the control region");
    require(d.kind == kKindArray || d.kind == kKindStream || d.kind == kKindService, "kind");
    std::uint64_t control_bytes = kControlBytes;
    if (d.kind == kKindStream) {
        require(d.slot_count >= kSlotsMin && d.slot_count <= kSlotsMax &&
                    d.end_count == kEndCount && d.frame_attrs_bytes == kFrameAttrsBytes &&
                    d.dim_count == 1 && d.shape[0] == d.slot_count,
                "slots");
        control_bytes = control_bytes_of_stream(d.slot_count);
    } else if (d.kind == kKindService) {
        require(d.slot_count >= kRequestSlotsMin && d.slot_count <= kRequestSlotsMax &&
                    d.end_count == kEndCount && d.frame_attrs_bytes == 0 && d.dim_count == 1 &&
                    d.shape[0] == 1,
                "slots");
        control_bytes = control_bytes_of_service(d.slot_count);
    } else {
        require(d.slot_count == 0, "slots");
    }
    require(d.control_bytes == control_bytes, "size of the control region");
    require(d.data_offset_bytes >= kHeaderStepBytes && d.data_offset_bytes <= kHeaderBytesMax &&
                d.data_offset_bytes % kHeaderStepBytes == 0,
            "offset of the data");
    require(d.data_bytes <= file_bytes && d.dtype_bytes <= kHeaderBytesMax, "sizes");
    const Places places =
        places_of(d.data_offset_bytes, d.data_bytes, d.control_bytes, d.dtype_bytes, d.page_bytes);
    require(d.control_offset_bytes == places.control_offset &&
                d.dtype_offset_bytes == places.dtype_offset && d.file_bytes == places.file_bytes,
            "offsets");
    if (d.dtype_bytes <= kDtypeInlineBytes) {
        accept_dtype(description, page.substr(sizeof d, d.dtype_bytes));
    }
    return description;
}

void accept_dtype(Description& description, std::string_view dtype) {
    const Descriptor& d = description.fields;
    require(dtype.size() == d.dtype_bytes && d.checksum == checksum_of(d, dtype), "checksum");
    description.name.assign(d.name, d.name_bytes);
    description.dtype = dtype;
    description.shape.assign(d.shape, d.shape + d.dim_count);
    // The checksum holds, so the rest can only be wrong on purpose; never use it all the same.
    try {
        require(itemsize_of(d, dtype) == d.itemsize_bytes, "size of the dtype");
        require(data_bytes_of(description.shape, d.itemsize_bytes) == d.data_bytes, "shape");
    } catch (const Invalid& e) {
        throw CorruptBytes(std::string("the descriptor is damaged (") + e.what() + ")");
    }
}

}  // namespace ndshare::layout
