#include "platform/fd.h"

#include <fcntl.h>

namespace ndshare::platform {

void move_descriptor(Fd& from, const Fd& to) noexcept {
    (void)::dup3(from.get(), to.get(), O_CLOEXEC);
    from.reset();
}

}  // namespace ndshare::platform
