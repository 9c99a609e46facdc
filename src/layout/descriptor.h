// layout/descriptor.h: a segment's last page, which says what all the others are.
//
//   0            data_offset              control_offset (page)         file_bytes
//   | .npy header | array bytes, padding  | control.h | long dtype text | descriptor page |
//
//   descriptor page:   0 | Descriptor, 1024 bytes | dtype text, up to 3072 bytes | 4096
//
// A longer dtype text stands in whole pages before the descriptor page; dtype_offset says where.
// The page never changes after creation, so its checksum covers it all; what changes is in
// control.h. A reader copies it first, checks the copy and uses the copy: it is another's bytes.
// Threads: any. Processes: any. Blocks: no.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ndshare::layout {

inline constexpr std::uint32_t kLayoutVersion = 1;
inline constexpr std::uint64_t kDescriptorPageBytes = 4096;
inline constexpr std::size_t kDimsMax = 64;  // NumPy 2; 1.26 stops at 32
inline constexpr std::uint32_t kByteOrderMark = 0x01020304;
inline constexpr char kMagic[8] = {'n', 'd', 's', 'h', 'a', 'r', 'e', '\0'};

enum : std::uint32_t { kKindArray = 1, kKindStream = 2, kKindService = 3 };
enum : std::uint32_t { kFlagFortran = 1, kFlagAligned = 2, kFlagPersistent = 4 };
inline constexpr std::uint32_t kFlagsKnown = kFlagFortran | kFlagAligned | kFlagPersistent;

struct Descriptor {
    char magic[8];
    std::uint32_t layout_version;
    std::uint32_t byte_order_mark;
    std::uint64_t checksum;  // of Descriptor with this word 0, then of the dtype text
    std::uint32_t kind;
    std::uint32_t flags;
    std::uint64_t generation;
    std::uint8_t uuid[16];
    std::uint32_t uid;         // of the creator
    std::uint32_t page_bytes;  // control_offset is a multiple of it
    std::uint64_t pid_namespace;
    std::uint64_t file_bytes;
    std::uint64_t data_offset_bytes;  // = the .npy header's length
    std::uint64_t data_bytes;
    std::uint64_t control_offset_bytes;
    std::uint64_t control_bytes;
    std::uint64_t itemsize_bytes;
    std::uint64_t dtype_offset_bytes;
    std::uint32_t dtype_bytes;
    std::uint32_t name_bytes;
    std::uint32_t row_count;
    std::uint32_t bell_count;
    std::uint32_t attrs_capacity_bytes;
    std::uint32_t dim_count;
    std::int64_t shape[kDimsMax];
    char name[304];
    std::uint64_t book;  // which folder of names it belongs to; 0: a persistent file
    // Streams and services; 0 in arrays. The dtype text is then that of layout/fields.h; shape is
    // {slot_count} slots of a stream, {1} pool of a service.
    std::uint32_t slot_count;
    std::uint32_t end_count;
    std::uint32_t frame_attrs_bytes;
    std::uint32_t reserved32;
    std::uint8_t reserved[32];
};
static_assert(sizeof(Descriptor) == 1024, "bump kLayoutVersion");
static_assert(offsetof(Descriptor, checksum) == 16, "bump kLayoutVersion");
static_assert(offsetof(Descriptor, generation) == 32, "bump kLayoutVersion");
static_assert(offsetof(Descriptor, uid) == 56, "bump kLayoutVersion");
static_assert(offsetof(Descriptor, file_bytes) == 72, "bump kLayoutVersion");
static_assert(offsetof(Descriptor, dtype_offset_bytes) == 120, "bump kLayoutVersion");
static_assert(offsetof(Descriptor, shape) == 152, "bump kLayoutVersion");
static_assert(offsetof(Descriptor, name) == 664, "bump kLayoutVersion");
static_assert(offsetof(Descriptor, book) == 968, "bump kLayoutVersion");
static_assert(offsetof(Descriptor, slot_count) == 976, "bump kLayoutVersion");
static_assert(std::is_trivially_copyable_v<Descriptor>);
static_assert(std::has_unique_object_representations_v<Descriptor>, "a hole between the fields");

inline constexpr std::size_t kDtypeInlineBytes = kDescriptorPageBytes - sizeof(Descriptor);

// What a creator wants, in checked form.
struct SegmentPlan {
    std::string full_name;
    std::uint32_t kind = kKindArray;
    std::string dtype;  // canonical; streams and services: their fields' text
    std::string npy_header;
    std::vector<std::int64_t> shape;  // streams: the number of slots
    std::uint64_t first_seq = 0;      // streams: the number before the first frame's
    std::uint32_t slot_count = 0;     // services
    std::uint32_t retries = 0;        // services
    bool fortran = false, aligned = false, persistent = false;
    std::uint64_t itemsize = 0, data_bytes = 0, generation = 0, pid_namespace = 0, book = 0;
    std::uint32_t uid = 0, page_bytes = 4096;
    std::uint8_t uuid[16] = {};
};

// Where everything lies: a pure function of the plan. Throws Invalid when 2^63 does not hold it.
Descriptor describe(const SegmentPlan& plan);
// The pages behind the control region: long dtype text if any, then the descriptor page.
std::string descriptor_pages(Descriptor descriptor, std::string_view dtype);

// Bytes of shape x itemsize. Throws Invalid for negative extents, too many dimensions, overflow.
std::uint64_t data_bytes_of(const std::vector<std::int64_t>& shape, std::uint64_t itemsize);

// A checked copy of what a segment says of itself.
struct Description {
    Descriptor fields;
    std::string name, dtype;
    std::vector<std::int64_t> shape;
    bool fortran() const { return (fields.flags & kFlagFortran) != 0; }
    bool aligned() const { return (fields.flags & kFlagAligned) != 0; }
    bool is_stream() const { return fields.kind == kKindStream; }
    bool is_service() const { return fields.kind == kKindService; }
};

// Step 1: from the last page (kDescriptorPageBytes bytes, a private copy) and the file's size.
// Throws CorruptBytes, which names another layout version where it is one. The dtype is empty when
// it stands elsewhere: read fields.dtype_bytes at fields.dtype_offset_bytes and take step 2.
Description read_descriptor_page(std::string_view page, std::uint64_t file_bytes,
                                 std::uint64_t system_page_bytes);
// Step 2 (inside step 1 for short texts): the checksum and the dtype's meaning.
void accept_dtype(Description& description, std::string_view dtype);

}  // namespace ndshare::layout
