#include "fuzz/memory.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "api/book.h"
#include "base/check.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NDSHARE_FUZZ_POISON
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define NDSHARE_FUZZ_POISON
#endif
#ifdef NDSHARE_FUZZ_POISON
#include <sanitizer/asan_interface.h>
#endif

namespace ndshare::fuzz {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kPrefix = "ndshare-fuzz-";

std::string parent() {
    const char* root = std::getenv("NDSHARE_TEST_ROOT");
    return root != nullptr ? root : "/dev/shm";
}

struct Folder {
    Folder() {
        clear_what_the_dead_left();
        path = parent() + "/" + std::string(kPrefix) + std::to_string(getpid());
        fs::create_directories(path + "/root");
        fs::permissions(path, fs::perms::owner_all);
        setenv("NDSHARE_DIR", path.c_str(), 1);
        setenv("NDSHARE_ROOT", (path + "/root").c_str(), 1);
        setenv("NDSHARE_NAMESPACE", "fuzz", 1);
    }
    ~Folder() {
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
    std::string path;
};

// Reads past what a segment's words are would meet the descriptor's page, which is mapped.
void forbid([[maybe_unused]] const std::byte* begin, [[maybe_unused]] std::uint64_t bytes) {
#ifdef NDSHARE_FUZZ_POISON
    ASAN_POISON_MEMORY_REGION(begin, bytes);
#endif
}

}  // namespace

void clear_what_the_dead_left() {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(parent())) {
        const std::string file = entry.path().filename();
        if (!file.starts_with(kPrefix)) continue;
        const auto pid = static_cast<pid_t>(std::atoi(file.c_str() + kPrefix.size()));
        if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH) fs::remove_all(entry, ignored);
    }
}

const std::string& own_folder() {
    static const Folder folder;
    return folder.path;
}

Memory::Memory(std::string name) : name_(std::move(name)) {
    auto found = api::find(api::full_name_of(name_));
    if (!found) throw Invalid("nothing has the name " + name_);
    segment_ = api::Segment::attach(std::move(found->fd), found->id, found->description, true);
    if (!segment_->persistent()) api::take_name(*segment_);
    const auto& d = descriptor();
    bytes_.resize(d.file_bytes);
    NDSHARE_SYSCALL("pread", pread(segment_->fd(), bytes_.data(), bytes_.size(), 0));
    const std::byte* begin = segment_->data(true) - d.data_offset_bytes;
    const std::uint64_t control_end = d.control_offset_bytes + d.control_bytes;
    forbid(begin + control_end, d.file_bytes - control_end);
    const std::uint64_t data_end = d.data_offset_bytes + d.data_bytes;
    forbid(begin + data_end, d.control_offset_bytes - data_end);
}

std::uint64_t Memory::own_words() const {
    return descriptor().control_offset_bytes + layout::kControlBytes;
}

void Memory::poke(Script& script, const std::vector<Area>& areas) const {
    const Area& area = areas[script.below(areas.size())];
    const std::uint64_t word = script.bytes(area.size_bytes > 1024 ? 2 : 1);
    const std::uint64_t at = area.at_bytes + word * 4 % area.size_bytes / 4 * 4;
    const std::size_t width = at % 8 == 0 && script.below(4) != 0 ? 8 : 4;
    std::uint64_t value = 0;
    NDSHARE_SYSCALL("pread", pread(segment_->fd(), &value, width, static_cast<off_t>(at)));
    value = script.number(value);
    NDSHARE_SYSCALL("pwrite", pwrite(segment_->fd(), &value, width, static_cast<off_t>(at)));
}

void Memory::restore() const {
    const auto& d = descriptor();
    // The attributes' texts lie in the middle of what is put back; they are short of it.
    NDSHARE_SYSCALL("pwrite", pwrite(segment_->fd(), bytes_.data(), bytes_.size() - 4096, 0));
    const std::string full_name = api::full_name_of(name_);
    if (api::where_leads(full_name, segment_->id()) == api::Leads::here) return;
    api::NameChange(full_name).take(*segment_);
    NDSHARE_SYSCALL("pwrite", pwrite(segment_->fd(), bytes_.data() + d.control_offset_bytes, 512,
                                     static_cast<off_t>(d.control_offset_bytes)));
}

void touch(const std::byte* begin, std::size_t bytes) {
    for (std::size_t k = 0; k < bytes; ++k) {
        // Volatile: a read that nobody uses is made all the same.
        (void)*const_cast<const volatile std::byte*>(begin + k);
    }
}

}  // namespace ndshare::fuzz
