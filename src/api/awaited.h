// api/awaited.h: what ndshare::wait() needs of a handle, one round at a time: look, say what it
// would sleep on, look again. Threads: the one that waits.
#pragma once
#include <memory>
#include <optional>

#include "platform/futex.h"

namespace ndshare::api {

// Keeps the handle's memory while we may sleep on its words.
class WaitRound {
 public:
    virtual ~WaitRound() = default;
    // Asks for a wake at the next change. nullopt: it changed since the look, look again.
    // A word of nullptr: it has none now, its bell must do.
    virtual std::optional<platform::FutexWord> announce() = 0;
    // For poll(2), where futexes will not do.
    virtual int bell() = 0;
    // The name may lead elsewhere by now.
    virtual void look_at_the_name() = 0;
};

class Awaited {
 public:
    virtual ~Awaited() = default;
    // nullptr: it is ready.
    virtual std::unique_ptr<WaitRound> begin_wait() = 0;
};

}  // namespace ndshare::api
