// support/control_memory.h: a control region in this process's own memory, all zero, with room
// behind it; and a memfd whose record locks other descriptions can hold, as other processes would.
// Threads: one.
#pragma once
#include <fcntl.h>

#include <memory>
#include <string>

#include "layout/control.h"
#include "platform/fd.h"
#include "platform/memory.h"

namespace ndshare::support {

class ControlMemory {
 public:
    explicit ControlMemory(std::size_t bytes = layout::kControlBytes)
        : words_(std::make_unique<std::uint64_t[]>((bytes + kBehind) / sizeof(std::uint64_t))) {}
    std::byte* base() { return reinterpret_cast<std::byte*>(words_.get()); }
    layout::Control control() { return layout::Control(base()); }

 private:
    static constexpr std::size_t kBehind = 4096;
    std::unique_ptr<std::uint64_t[]> words_;
};

// Each opening is a description of its own, with locks of its own.
class LockFile {
 public:
    platform::Fd open() const {
        const std::string path = "/proc/self/fd/" + std::to_string(file_.get());
        return platform::Fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    }

 private:
    platform::Fd file_ = platform::make_memory("ndshare-test", 4096);
};

}  // namespace ndshare::support
