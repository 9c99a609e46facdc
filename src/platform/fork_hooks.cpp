#include "platform/fork_hooks.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"

namespace ndshare::platform {
namespace {

// Read and written by the one thread of a new child or before hooks are installed; else constant.
volatile char* g_mark = nullptr;
volatile unsigned g_fork_count = 0;

}  // namespace

void install_fork_hooks(const ForkHooks& hooks) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* memory = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw SystemError(errno, "mmap");
    // Without the flag (older kernels) raw clones go unnoticed, as they do in every library.
    (void)madvise(memory, page, MADV_WIPEONFORK);
    g_mark = static_cast<char*>(memory);
    *g_mark = 1;
    if (const int error = pthread_atfork(hooks.prepare, hooks.parent, hooks.child); error != 0) {
        throw SystemError(error, "pthread_atfork");
    }
}

void accept_fork() noexcept {
    if (g_mark != nullptr) *g_mark = 1;
    g_fork_count = g_fork_count + 1;
}

unsigned fork_count() noexcept { return g_fork_count; }

bool was_forked_raw() noexcept { return g_mark != nullptr && *g_mark == 0; }

}  // namespace ndshare::platform
