// soak/step_survivor.h: who goes on when a victim was killed at one of its instructions.
// A process of its own, told what to do by lines on a socket: "prepare NAME", "check NAME"; it
// answers each with a line: "ok", or what is wrong. Threads: one.
#pragma once
#include <chrono>

namespace ndshare::soak {

// Until the socket is closed. Says "ok" when all is there. patience: for each of its operations.
void survive_steps(int socket, std::chrono::milliseconds patience);

}  // namespace ndshare::soak
