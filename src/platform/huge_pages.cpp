#include "platform/huge_pages.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <string>

#include "platform/kernel_text.h"
#include "platform/memory.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace ndshare::platform {
namespace {

// "always inherit [advise] never": the word in brackets is in force.
bool is_in_force(const std::string& choices, const char* word) {
    return choices.find('[' + std::string(word) + ']') != std::string::npos;
}

bool kernel_wants_to_be_asked() {
    const std::string folder = "/sys/kernel/mm/transparent_hugepage/";
    // Since Linux 6.11 each size has a word of its own, which may be to do as the common one says.
    const std::string own = read_kernel_text(folder + "hugepages-2048kB/shmem_enabled");
    if (!own.empty() && !is_in_force(own, "inherit")) return is_in_force(own, "advise");
    return is_in_force(read_kernel_text(folder + "shmem_enabled"), "advise");
}

bool mount_wants_to_be_asked(dev_t device) {
    const std::string number =
        ' ' + std::to_string(major(device)) + ':' + std::to_string(minor(device)) + ' ';
    const std::string text = read_kernel_text("/proc/self/mountinfo");
    std::string_view rest = text;
    while (!rest.empty()) {
        // id parent dev root point options [tags…] - type source super-options
        std::string_view line = take_until(rest, '\n');
        if (line.find(number) == std::string_view::npos) continue;
        const auto dash = line.find(" - tmpfs ");
        if (dash == std::string_view::npos) continue;
        return has_word(line.substr(line.rfind(' ') + 1), "huge=advise");
    }
    return false;
}

bool wants_to_be_asked(int fd) {
    struct stat status{};
    if (fstat(fd, &status) != 0) return false;
    return static_cast<std::uint64_t>(status.st_dev) == memory_device()
               ? kernel_wants_to_be_asked()
               : mount_wants_to_be_asked(status.st_dev);
}

}  // namespace

HugePages::HugePages(int fd) {
    if (!wants_to_be_asked(fd)) return;
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* room = mmap(nullptr, 2 * kHugePageBytes, PROT_NONE, kFlags, -1, 0);
    if (room != MAP_FAILED) room_ = static_cast<char*>(room);
}

HugePages::~HugePages() {
    if (room_ != nullptr) (void)munmap(room_, 2 * kHugePageBytes);
}

void HugePages::try_take(int fd, std::uint64_t offset_bytes) noexcept {
    if (room_ == nullptr || offset_bytes % kHugePageBytes != 0) return;
    // Only where file and addresses are aligned alike.
    char* at = room_ + (kHugePageBytes - reinterpret_cast<std::uintptr_t>(room_) % kHugePageBytes) %
                           kHugePageBytes;
    const auto offset = static_cast<off_t>(offset_bytes);
    constexpr int kFlags = MAP_SHARED | MAP_FIXED;
    if (mmap(at, kHugePageBytes, PROT_READ | PROT_WRITE, kFlags, fd, offset) == MAP_FAILED) return;
    if (madvise(at, kHugePageBytes, MADV_HUGEPAGE) != 0) return;
    (void)madvise(at, kHugePageBytes, MADV_POPULATE_WRITE);
}

}  // namespace ndshare::platform
