// api/interrupt.h: the caller's own check inside waits (signals in Python). Threads: any.
#pragma once

namespace ndshare::api {

// Calls what set_interrupt_check() installed; its exceptions pass.
void check_interrupt();

}  // namespace ndshare::api
