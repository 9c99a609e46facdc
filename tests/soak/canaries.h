// soak/canaries.h: children that do wrong on purpose, so that it is seen that the checks see it.
//
//   in the roles:  no-lock, other-answer, changed-frame, skipped-frame
//   here:          left-pin, version-back, bad-owner, bad-call (a child scribbles on raw memory),
//                  silent (a child stands still), left-memory (somebody keeps memory at the end)
//
// Threads: one. Processes: a child's own; left-memory: the campaign's.
#pragma once
#include <string>

#include "life.h"

namespace ndshare::soak {

bool is_scribbler(const std::string& canary);
// Does it, and goes on looking as if nothing had happened.
void scribble(Life& life);
// A descriptor of memory of this name space that is never closed.
void leave_memory(const std::string& name_space);

}  // namespace ndshare::soak
