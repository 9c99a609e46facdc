// platform/huge_pages.h: memory in pages of 2 MiB, where the system gives them to who asks:
// `advise` in /sys/kernel/mm/transparent_hugepage/shmem_enabled for memfds, the option huge=advise
// of a tmpfs for its files. Where it says `always` or `within_size`, fallocate(2) gets them by
// itself; `never`, the default, and `deny` are obeyed. Why: 128 MiB are reserved in a fifth of the
// time and filled in a seventh (docs/design). Threads: one a HugePages. Blocks: reads small files
// of /proc and /sys.
#pragma once
#include <cstdint>

namespace ndshare::platform {

inline constexpr std::uint64_t kHugePageBytes = 2 << 20;

class HugePages {
 public:
    // For the file behind fd, which is to be mapped for writing. Throws SystemError for want of
    // descriptors.
    explicit HugePages(int fd);
    ~HugePages();
    HugePages(const HugePages&) = delete;
    HugePages& operator=(const HugePages&) = delete;

    // Makes the page at an offset a huge one, if it can: whoever calls this reserves the page
    // afterwards, and hears then when there is no memory. Offsets between two pages are left alone.
    void try_take(int fd, std::uint64_t offset_bytes) noexcept;

 private:
    // Addresses for two pages; nullptr: the system does not want to be asked.
    char* room_ = nullptr;
};

}  // namespace ndshare::platform
