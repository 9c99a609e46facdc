// api/interrupt.h: the caller's own check inside waits (signals in Python). Threads: any.
#pragma once

namespace ndshare::api {

// Calls what set_interrupt_check() installed; its exceptions pass. Invalid: it forked and returned
// in the child, which is another peer than the one whose wait this is.
void check_interrupt();

// Around any other code of the user's in the middle of an operation: require_not_forked(before).
void require_not_forked(unsigned fork_count_before);

}  // namespace ndshare::api
