#include "mutation/choice.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace ndshare::mutant {
namespace {

constexpr std::size_t kMutantsMax = 65536;
unsigned char unread_hits[kMutantsMax];

// Shared with its children, and there although the process is killed.
unsigned char* map_hits(const char* path) {
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    void* at =
        fd < 0 ? MAP_FAILED : mmap(nullptr, kMutantsMax, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        std::perror(path);
        std::abort();
    }
    close(fd);
    return static_cast<unsigned char*>(at);
}

// Before what other files initialise, as that may run mutated code.
__attribute__((constructor(101))) void choose() {
    if (const char* number = std::getenv("NDSHARE_MUTANT")) {
        chosen = static_cast<unsigned>(std::strtoul(number, nullptr, 10));
    }
    if (const char* path = std::getenv("NDSHARE_MUTANT_HITS")) hits = map_hits(path);
}

}  // namespace

unsigned chosen = 0;
unsigned char* hits = unread_hits;

}  // namespace ndshare::mutant
