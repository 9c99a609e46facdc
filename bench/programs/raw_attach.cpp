// What does it cost to attach to memory that another process holds, done by hand: open, fstat,
// mmap, touch the first element, munmap, close? --backing memfd goes through /proc/PID/fd as
// ndshare does, --backing FILE makes a file of that name (on a tmpfs) and removes it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "support/pair.h"
#include "support/payload.h"

namespace {

struct Shared {
    char path[512];
};

int require(int result, const char* what) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), what);
    return result;
}

class Attached {
 public:
    explicit Attached(const char* path) : fd_(require(open(path, O_RDWR | O_CLOEXEC), "open")) {
        struct stat status{};
        require(fstat(fd_, &status), "fstat");
        bytes_ = static_cast<std::size_t>(status.st_size);
        void* memory = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, fd_, 0);
        if (memory == MAP_FAILED) require(-1, "mmap");
        words_ = static_cast<const volatile std::uint64_t*>(memory);
    }
    ~Attached() {
        munmap(const_cast<std::uint64_t*>(words_), bytes_);
        close(fd_);
    }
    Attached(const Attached&) = delete;
    std::uint64_t word(std::size_t i) const { return words_[i]; }

 private:
    int fd_;
    std::size_t bytes_ = 0;
    const volatile std::uint64_t* words_ = nullptr;
};

void attach(bench::Side& side) {
    const auto& shared = *reinterpret_cast<const Shared*>(side.shared());
    side.meet();  // the memory is there
    std::uint64_t sum = 0;
    const auto once = [&] { sum += Attached(shared.path).word(0); };
    for (std::int64_t k = 0; k < side.warm_up(); ++k) once();
    side.pin();
    sum = 0;
    bench::Samples samples(side.count());
    side.begin();
    std::int64_t last_ns = bench::now_ns();
    for (std::int64_t k = 0; k < side.count(); ++k) {
        once();
        const std::int64_t now_ns = bench::now_ns();
        samples.add(now_ns - last_ns);
        last_ns = now_ns;
        bench::check_interrupted();
    }
    side.end();
    const Attached whole(shared.path);
    for (std::size_t i = 0; i < bench::kSmallWords; ++i) sum += whole.word(i);
    bench::print_result(samples, side.cpu_of_both_ns(), {{"checksum", sum}});
    side.meet();
}

void hold(bench::Side& side) {
    auto& shared = *reinterpret_cast<Shared*>(side.shared());
    const std::string backing = side.options().text("--backing", "memfd");
    const bool memfd = backing == "memfd";
    const int fd =
        memfd ? require(memfd_create("bench", MFD_CLOEXEC), "memfd_create")
              : require(open(backing.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), "open");
    const std::string path =
        memfd ? "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd) : backing;
    try {
        if (path.size() >= sizeof shared.path) throw std::invalid_argument("--backing: too long");
        std::memcpy(shared.path, path.c_str(), path.size() + 1);
        require(ftruncate(fd, 4096), "ftruncate");
        const bench::Small small = bench::make_smalls()[0];
        if (pwrite(fd, small.data(), sizeof small, 0) != sizeof small) require(-1, "pwrite");
        side.meet();
        side.begin();
        side.end();
        side.meet();
    } catch (...) {
        if (!memfd) unlink(backing.c_str());
        throw;
    }
    if (!memfd) unlink(backing.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {"--backing"}, sizeof(Shared), attach, hold);
}
