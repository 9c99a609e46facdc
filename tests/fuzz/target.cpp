#include "fuzz/target.h"

#include <algorithm>
#include <cstring>
#include <exception>

#include "base/check.h"
#include "fuzz/targets.h"
#include "layout/control.h"
#include "layout/service.h"
#include "layout/stream.h"
#include "support/segment_plan.h"

namespace ndshare::fuzz {
namespace {

using layout::Description;
using layout::Descriptor;
using layout::kDescriptorPageBytes;

// What the floors above rely on without looking again.
std::string broken_promise(const Description& found, std::uint64_t file_bytes) {
    const Descriptor& d = found.fields;
    if (found.name.empty() || found.name.size() > sizeof d.name) return "length of the name";
    if (found.shape.size() > layout::kDimsMax) return "number of dimensions";
    for (const auto extent : found.shape) {
        if (extent < 0) return "a negative extent";
    }
    const std::uint64_t itemsize =
        found.is_stream()    ? layout::plan_slot_of(found.dtype).slot_bytes
        : found.is_service() ? layout::plan_service_of(found.dtype, d.slot_count).pool_bytes
                             : layout::parse_dtype(found.dtype).itemsize;
    if (itemsize != d.itemsize_bytes) return "itemsize";
    if (found.is_service()) {
        if (d.slot_count < layout::kRequestSlotsMin || d.slot_count > layout::kRequestSlotsMax) {
            return "slots of calls";
        }
        if (d.data_bytes != itemsize) return "size of the calls' pool";
        const std::uint64_t control = layout::control_bytes_of_service(d.slot_count);
        if (control > file_bytes || d.control_offset_bytes > file_bytes - control) {
            return "control of the service";
        }
    }
    if (found.is_stream()) {
        if (d.slot_count < layout::kSlotsMin || d.slot_count > layout::kSlotsMax) return "slots";
        if (d.data_bytes != d.slot_count * itemsize) return "size of the pool";
        const std::uint64_t control = layout::control_bytes_of_stream(d.slot_count);
        if (control > file_bytes || d.control_offset_bytes > file_bytes - control) {
            return "control of the stream";
        }
    }
    if (layout::data_bytes_of(found.shape, d.itemsize_bytes) != d.data_bytes) return "data_bytes";
    if (file_bytes < kDescriptorPageBytes + layout::kControlBytes) return "file too small";
    const std::uint64_t page = file_bytes - kDescriptorPageBytes;
    if (d.data_bytes > page || d.data_offset_bytes > page - d.data_bytes) return "data";
    if (d.control_offset_bytes < d.data_offset_bytes + d.data_bytes) return "data over control";
    if (d.control_offset_bytes > page - layout::kControlBytes) return "control over descriptor";
    if (d.control_offset_bytes % d.page_bytes != 0) return "control is on no page";
    const bool is_long = d.dtype_bytes > layout::kDtypeInlineBytes;
    if (is_long && (d.dtype_offset_bytes < d.control_offset_bytes + layout::kControlBytes ||
                    d.dtype_offset_bytes > page - d.dtype_bytes)) {
        return "dtype's text";
    }
    return {};
}

// As read_descriptor_page and accept_dtype would be if a checksum were proof enough.
Description believe(std::string_view page, std::string_view text) {
    Description found{};
    if (page.size() != kDescriptorPageBytes) throw CorruptBytes("too short");
    found.fields = support::fields_of(page);
    const Descriptor& d = found.fields;
    if (std::memcmp(d.magic, layout::kMagic, sizeof d.magic) != 0) throw CorruptBytes("magic");
    found.dtype =
        d.dtype_bytes <= layout::kDtypeInlineBytes ? page.substr(sizeof d, d.dtype_bytes) : text;
    if (support::checksum_of(d, found.dtype) != d.checksum) throw CorruptBytes("checksum");
    found.name.assign(d.name, std::min<std::size_t>(d.name_bytes, sizeof d.name));
    found.shape.assign(d.shape, d.shape + std::min<std::size_t>(d.dim_count, layout::kDimsMax));
    return found;
}

std::string check_parts(std::string_view page, std::string_view text, std::uint64_t file_bytes,
                        std::uint64_t system_page_bytes, bool careless) {
    try {
        Description found{};
        if (careless) {
            found = believe(page, text);
        } else {
            found = layout::read_descriptor_page(page, file_bytes, system_page_bytes);
            if (found.name.empty()) layout::accept_dtype(found, text);
        }
        const std::string broken = broken_promise(found, file_bytes);
        return broken.empty() ? "" : "accepted, but wrong: " + broken;
    } catch (const CorruptBytes&) {
        return {};
    } catch (const std::exception& e) {
        return std::string("another exception than CorruptBytes: ") + e.what();
    }
}

}  // namespace

std::string check_descriptor(std::string_view input, bool careless) {
    const auto switches = static_cast<unsigned char>(input.empty() ? 0 : input[0]);
    if (!input.empty()) input.remove_prefix(1);
    const std::size_t page_bytes = std::min<std::size_t>(input.size(), kDescriptorPageBytes);
    const std::string text(input.substr(0, input.size() - page_bytes));
    std::string page(input.substr(input.size() - page_bytes));
    std::uint64_t file_bytes = 65536;
    if (page.size() == kDescriptorPageBytes) {
        Descriptor d = support::fields_of(page);
        if ((switches & kOwnSize) != 0) file_bytes = d.file_bytes;
        if ((switches & kRightChecksum) != 0) {
            const bool is_inline = d.dtype_bytes <= layout::kDtypeInlineBytes;
            const auto dtype = is_inline ? std::string_view(page).substr(sizeof d, d.dtype_bytes)
                                         : std::string_view(text);
            d.checksum = support::checksum_of(d, dtype);
            std::memcpy(page.data(), &d, sizeof d);
        }
    }
    const std::uint64_t system_page_bytes = (switches & kLargePages) != 0 ? 65536 : 4096;
    return check_parts(page, text, file_bytes, system_page_bytes, careless);
}

std::string check_dtype(std::string_view text) {
    try {
        const auto meaning = layout::parse_dtype(text);
        const auto again = layout::parse_dtype(meaning.canonical);
        if (again.canonical != meaning.canonical) return "two spellings of one dtype";
        if (again.itemsize != meaning.itemsize) return "two sizes of one dtype";
        const auto header = layout::make_npy_header(meaning.npy_descr, false, {1});
        return header.size() % layout::kHeaderStepBytes == 0 ? "" : "a header of no whole pages";
    } catch (const Invalid&) {
        return {};
    } catch (const std::exception& e) {
        return std::string("another exception than Invalid: ") + e.what();
    }
}

std::string check_validate(std::string_view input) {
    const std::string wrong = check_descriptor(input);
    return wrong.empty() ? check_dtype(input) : wrong;
}

}  // namespace ndshare::fuzz
