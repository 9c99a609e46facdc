// process/fork_child.h: a child of a test, by fork().
#pragma once
#include <unistd.h>

namespace ndshare::test {

// Its process id; body() gives its exit status. A child of a test must never go on into the test
// framework, whatever it throws.
template <class Body>
pid_t fork_child(Body body) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    try {
        _exit(body());
    } catch (...) {
        _exit(99);
    }
}

}  // namespace ndshare::test
