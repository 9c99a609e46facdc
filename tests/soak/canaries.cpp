#include "canaries.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>

#include "raw_segment.h"
#include "roles.h"

namespace ndshare::soak {
namespace {

using namespace std::chrono_literals;

// The control region of a segment, writable.
class Scribbler {
 public:
    explicit Scribbler(const char* name) : path_(info(name).path), raw_(RawSegment::map(path_)) {
        const int fd = open(path_.c_str(), O_RDWR | O_CLOEXEC);
        const off_t bytes = lseek(fd, 0, SEEK_END);
        std::uint64_t control = 0;
        (void)!pread(fd, &control, sizeof control, bytes - 4096 + 96);
        auto* base = static_cast<std::byte*>(mmap(nullptr, static_cast<std::size_t>(bytes),
                                                  PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
        close(fd);
        control_ = base + control;
    }
    const RawSegment& raw() const { return *raw_; }
    void add(std::size_t offset, std::uint64_t value) {
        __atomic_fetch_add(reinterpret_cast<std::uint64_t*>(control_ + offset), value,
                           __ATOMIC_SEQ_CST);
    }

 private:
    std::string path_;
    std::unique_ptr<RawSegment> raw_;
    std::byte* control_ = nullptr;
};

// A pin in an end of this living process, of a slot that it has no frame in.
void leave_a_pin(Life& life) {
    const Subscriber subscriber(kDropName);
    Scribbler scribbler(kDropName);
    const RawSegment& raw = scribbler.raw();
    for (std::size_t k = 0; k < RawSegment::kEnds; ++k) {
        const std::uint64_t owner = raw.u64(raw.end(k));
        if (owner == 0) continue;
        const std::size_t row = RawSegment::row((owner & 0xffff) - 1);
        if (raw.u32(row + 8) != static_cast<std::uint32_t>(getpid())) continue;
        if (raw.u32(raw.end(k) + 16) != 2) continue;
        scribbler.add(raw.end(k) + 32, 4);
        for (;; usleep(10'000)) life.now(Doing::between);
    }
    life.wrong("the canary found no end of its own");
}

}  // namespace

bool is_scribbler(const std::string& canary) {
    static constexpr std::array kAll{"left-pin", "version-back", "bad-owner", "bad-call", "silent"};
    for (const char* one : kAll) {
        if (canary == one) return true;
    }
    return false;
}

void scribble(Life& life) {
    usleep(50'000);  // the others have begun
    if (life.is_canary("left-pin")) leave_a_pin(life);
    if (life.is_canary("version-back")) {
        Scribbler(kArrayNames[0]).add(0, ~std::uint64_t{0} - 199);
    }
    if (life.is_canary("bad-owner")) {
        Scribbler scribbler(kServiceName);
        scribbler.add(scribbler.raw().end(200), 999);
    }
    if (life.is_canary("bad-call")) {
        Scribbler scribbler(kServiceName);
        scribbler.add(scribbler.raw().state(scribbler.raw().slots() - 1), 0x20);
    }
    if (life.is_canary("silent")) pause();
}

void leave_memory(const std::string& name_space) {
    const std::string name = "ndshare:" + name_space + "/left";
    (void)memfd_create(name.c_str(), MFD_CLOEXEC);
}

}  // namespace ndshare::soak
