// support/segment_plan.h: segments as bytes, without a file: what a creator would write, and the
// checksum that a forger would compute. Threads: any.
#pragma once
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "layout/descriptor.h"
#include "layout/dtype.h"
#include "layout/hash.h"
#include "layout/npy.h"

namespace ndshare::support {

inline layout::SegmentPlan plan_of(const std::string& dtype, std::vector<std::int64_t> shape,
                                   const std::string& name = "scores") {
    const layout::DtypeMeaning meaning = layout::parse_dtype(dtype);
    layout::SegmentPlan plan;
    plan.full_name = name;
    plan.dtype = meaning.canonical;
    plan.itemsize = meaning.itemsize;
    plan.data_bytes = layout::data_bytes_of(shape, meaning.itemsize);
    plan.npy_header = layout::make_npy_header(meaning.npy_descr, false, shape);
    plan.shape = std::move(shape);
    plan.generation = 1'700'000'000'000'000;
    plan.pid_namespace = 4026531836;
    plan.book = 0x123456789abcdef0;
    plan.uid = 1000;
    for (std::uint8_t k = 0; k < 16; ++k) plan.uuid[k] = static_cast<std::uint8_t>(16 * k + k);
    return plan;
}

// A dtype text of at least so many bytes.
inline std::string long_dtype(std::size_t bytes) {
    std::string text = "[";
    for (int k = 0; text.size() < bytes; ++k) {
        text += (k == 0 ? "('" : ", ('") + std::string("field_") + std::to_string(k) + "', '<f4')";
    }
    return text + "]";
}

inline std::string last_page(const std::string& pages) {
    return pages.substr(pages.size() - layout::kDescriptorPageBytes);
}

inline layout::Descriptor fields_of(std::string_view page) {
    layout::Descriptor d{};
    std::memcpy(&d, page.data(), sizeof d);
    return d;
}

// As the descriptor's maker computes it; part of the format, so a test may know it.
inline std::uint64_t checksum_of(layout::Descriptor d, std::string_view dtype) {
    d.checksum = 0;
    const std::string_view bytes(reinterpret_cast<const char*>(&d), sizeof d);
    return layout::hash_bytes(dtype, layout::hash_bytes(bytes));
}

// The page with these fields and an inline dtype, its checksum right.
inline std::string forged_page(layout::Descriptor d, std::string_view dtype) {
    d.checksum = checksum_of(d, dtype);
    std::string page(layout::kDescriptorPageBytes, '\0');
    std::memcpy(page.data(), &d, sizeof d);
    std::memcpy(page.data() + sizeof d, dtype.data(),
                std::min(dtype.size(), page.size() - sizeof d));
    return page;
}

}  // namespace ndshare::support
