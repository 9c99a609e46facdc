// platform/fork_hooks.h: what must happen around fork(), and how to learn that it did not: a child
// of raw clone() or _Fork() runs no handlers, and shares its parent's place until it execs.
// Threads: install once; was_forked_raw from any. Blocks: no.
#pragma once

namespace ndshare::platform {

struct ForkHooks {
    void (*prepare)();
    void (*parent)();
    void (*child)();
};
// pthread_atfork(3). The child's hook ends by calling accept_fork().
void install_fork_hooks(const ForkHooks& hooks);
void accept_fork() noexcept;

// True in a child that was made without the hooks. One load: the word lies in a page that the
// kernel empties in every child (MADV_WIPEONFORK, Linux 4.14).
bool was_forked_raw() noexcept;

// How many forks, each with the hooks, lie between this process and the one that installed them:
// another number after a call of the user's code says that it returned in a child.
unsigned fork_count() noexcept;

}  // namespace ndshare::platform
