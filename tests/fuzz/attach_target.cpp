// Files whose bytes are damaged before and while they are opened: as an array, as a stream, as a
// service; looked at, replaced, unlinked.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <optional>

#include "base/check.h"
#include "fuzz/frames.h"
#include "fuzz/memory.h"
#include "fuzz/targets.h"
#include "layout/service.h"
#include "ndshare/array.hpp"
#include "ndshare/registry.hpp"
#include "ndshare/service.hpp"
#include "support/segment_plan.h"

namespace ndshare::fuzz {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kFileBytesMax = 1 << 20;

Sharing in_a_file() {
    Sharing sharing;
    sharing.persistent = true;
    return sharing;
}

PublisherOptions stream_wishes() {
    PublisherOptions options;
    options.shape = {6, 8};
    options.dtype = Dtype(std::string_view("u1"));
    options.slots = 4;
    options.shared = true;
    options.sharing = in_a_file();
    options.spin = Timeout(0);
    return options;
}

WorkerOptions service_wishes() {
    WorkerOptions options;
    options.slots = 2;
    options.sharing = in_a_file();
    options.spin = Timeout(0);
    return options;
}

Spec small_array() { return {.shape = {5, 5}, .dtype = Dtype(std::string_view("f4"))}; }
Spec plain(std::string_view dtype) { return {.shape = {3}, .dtype = Dtype(dtype)}; }

// One file as it was made, and back again after each run.
class File {
 public:
    explicit File(std::string name) : name_(std::move(name)) {
        path_ = own_folder() + "/root/fuzz%2F" + name_ + ".npy";
        kept_ = own_folder() + "/" + name_;
        fs::create_hard_link(path_, kept_);
        fd_ = platform::Fd(NDSHARE_SYSCALL("open", open(kept_.c_str(), O_RDWR | O_CLOEXEC)));
        bytes_.resize(fs::file_size(kept_));
        NDSHARE_SYSCALL("pread", pread(fd_.get(), bytes_.data(), bytes_.size(), 0));
        const auto d = support::fields_of(support::last_page(bytes_));
        const std::uint64_t page = bytes_.size() - layout::kDescriptorPageBytes;
        const std::uint64_t own = d.control_offset_bytes + layout::kControlBytes;
        areas_ = {{page, offsetof(layout::Descriptor, shape) + 32},
                  {page, offsetof(layout::Descriptor, shape) + 32},
                  {page + offsetof(layout::Descriptor, book), 32},
                  {page + sizeof d, 64},
                  {0, 64},
                  {d.control_offset_bytes, sizeof(layout::ControlWords)},
                  {d.control_offset_bytes + layout::kRowsOffset, 4 * sizeof(layout::Row)}};
        if (page > own) areas_.push_back({own, std::min<std::uint64_t>(page - own, 1024)});
    }
    const std::string& name() const { return name_; }

    void poke(Script& script) const {
        const Area& area = areas_[script.below(areas_.size())];
        const std::uint64_t at = area.at_bytes + script.bytes(1) * 4 % area.size_bytes / 4 * 4;
        const std::size_t width = at % 8 == 0 && script.below(4) != 0 ? 8 : 4;
        std::uint64_t value = 0;
        if (pread(fd_.get(), &value, width, static_cast<off_t>(at)) < 0) return;
        value = script.number(value);
        NDSHARE_SYSCALL("pwrite", pwrite(fd_.get(), &value, width, static_cast<off_t>(at)));
    }
    // So that the checks behind the checksum are reached.
    void right_the_checksum() const {
        struct stat status{};
        NDSHARE_SYSCALL("fstat", fstat(fd_.get(), &status));
        if (status.st_size < static_cast<off_t>(layout::kDescriptorPageBytes)) return;
        std::string page(layout::kDescriptorPageBytes, '\0');
        const off_t at = status.st_size - static_cast<off_t>(page.size());
        NDSHARE_SYSCALL("pread", pread(fd_.get(), page.data(), page.size(), at));
        auto d = support::fields_of(page);
        if (d.dtype_bytes > layout::kDtypeInlineBytes) return;
        d.checksum =
            support::checksum_of(d, std::string_view(page).substr(sizeof d, d.dtype_bytes));
        NDSHARE_SYSCALL("pwrite", pwrite(fd_.get(), &d, sizeof d, at));
    }
    void resize(Script& script) const {
        const std::uint64_t bytes = script.number(bytes_.size());
        NDSHARE_SYSCALL("ftruncate",
                        ftruncate(fd_.get(), static_cast<off_t>(bytes % kFileBytesMax)));
    }
    void restore() const {
        NDSHARE_SYSCALL("ftruncate", ftruncate(fd_.get(), static_cast<off_t>(bytes_.size())));
        NDSHARE_SYSCALL("pwrite", pwrite(fd_.get(), bytes_.data(), bytes_.size(), 0));
        struct stat now{}, own{};
        NDSHARE_SYSCALL("fstat", fstat(fd_.get(), &own));
        if (stat(path_.c_str(), &now) == 0 && now.st_ino == own.st_ino) return;
        fs::remove(path_);
        fs::create_hard_link(kept_, path_);
    }

 private:
    std::string name_, path_, kept_;
    platform::Fd fd_;
    std::string bytes_;
    std::vector<Area> areas_;
};

// All that is there before the first run. "scores" is copied from: its book and names are right.
struct Files {
    Files() {
        (void)own_folder();
        CreateOptions options;
        options.sharing = in_a_file();
        options.attrs_json = "{\"a\": 1}";
        (void)Array::create("scores", small_array(), options);
        (void)Array::create("records", plain(support::long_dtype(3100)), options);
        {
            Publisher publisher("camera", stream_wishes());
            const std::byte bytes[48]{};
            for (int k = 0; k < 5; ++k) (void)publisher.put_bytes(bytes);
        }
        {
            Worker worker("detector", {{"in", plain("f4")}}, {{"out", plain("f4")}},
                          service_wishes());
        }
        for (const char* name : {"scores", "records", "camera", "detector"}) {
            all.push_back(std::make_unique<File>(name));
        }
    }
    std::vector<std::unique_ptr<File>> all;
};

std::string use_array(const std::string& name, Script& script) {
    const std::uint8_t how = script.byte();
    OpenOptions options;
    options.writeable = (how & 1) != 0;
    options.spin = Timeout(0);
    Array array = Array::open(name, options);
    const Spec& spec = array.spec();
    const std::string wrong =
        wrong_field({&spec, spec.shape, array.bytes().data(), array.bytes().size()});
    if (!wrong.empty()) return wrong;
    if (array.nbytes() != array.bytes().size()) return "bytes of an array";
    touch(array.bytes().data(), array.bytes().size());
    (void)array.replaced();
    (void)array.writer_text();
    (void)array.attrs_json();
    (void)array.version();
    if ((how & 2) != 0) (void)array.wait(Timeout(0));
    if ((how & 4) != 0) {
        std::vector<std::byte> copy(array.nbytes());
        (void)array.read(copy, Timeout(0));
    }
    if ((how & 9) == 9) {
        if (auto write = array.write(Timeout(0), (how & 16) != 0)) write->commit();
    }
    if ((how & 33) == 33) {
        array.update_attrs([](std::string_view) { return std::string("{\"b\": 2}"); });
    }
    if ((how & 64) != 0) array.unlink();
    return {};
}

std::string use_stream(const std::string& name, Script& script) {
    const std::uint8_t how = script.byte();
    Subscriber subscriber(name, SubscriberOptions{.latest = (how & 1) != 0, .spin = Timeout(0)});
    auto frame = subscriber.get(Timeout(0));
    if ((how & 2) != 0) {
        Publisher publisher(name, (how & 4) != 0 ? stream_wishes() : PublisherOptions{});
        std::vector<std::byte> bytes(48);
        (void)publisher.put_bytes(bytes);
        if (!frame) frame = subscriber.get(Timeout(0));
    }
    return frame ? wrong_frame(*frame) : "";
}

std::string use_service(const std::string& name, Script& script) {
    const std::uint8_t how = script.byte();
    Client client(name, ClientOptions{.spin = Timeout(0)});
    std::optional<Worker> worker;
    if ((how & 1) != 0) {
        worker.emplace(name, service_wishes());
    } else if ((how & 2) != 0) {
        const Fields in{{"in", plain("f4")}}, out{{"out", plain("f4")}};
        worker.emplace(name, in, out, service_wishes());
    }
    Call call = client.loan(Timeout(0));
    call.submit();
    if (!worker) return {};
    auto batch = worker->get({}, Timeout(0));
    if (!batch) return {};
    const std::string wrong = wrong_field(batch->input_at(0), batch->size());
    batch->reply();
    return wrong.empty() ? wrong_frame(call.result(Timeout(0))) : wrong;
}

std::string step(const File& file, Script& script, bool& nobody_looked) {
    const std::size_t what = script.below(16);
    if (what <= 6) {
        file.poke(script);
        if (nobody_looked && what <= 5) file.right_the_checksum();
        return {};
    }
    if (what == 7 && nobody_looked) {
        file.resize(script);
        return {};
    }
    // From here on somebody may have mapped it, and files that shrink then are not survived.
    nobody_looked = false;
    switch (what) {
        case 8:
        case 9:
            return use_array(file.name(), script);
        case 10:
        case 11:
            return use_stream(file.name(), script);
        case 12:
        case 13:
            return use_service(file.name(), script);
        case 14: {
            if (script.below(8) == 0) (void)ls("*");
            const Info one = info(file.name());
            return one.name == file.name() ? "" : "another name";
        }
        case 15: {
            CreateOptions options;
            options.existing = script.below(2) == 0 ? Existing::replace : Existing::adopt;
            options.sharing = in_a_file();
            (void)Array::create(file.name(), small_array(), options);
            if (script.below(2) == 0) (void)unlink(file.name());
            return {};
        }
        default:
            return {};
    }
}

}  // namespace

std::string check_attach(std::string_view input) {
    static const Files files;
    Script script(input);
    const File& file = *files.all[script.below(files.all.size())];
    bool nobody_looked = true;
    std::string wrong;
    while (wrong.empty() && script.next()) {
        try {
            wrong = step(file, script, nobody_looked);
        } catch (const Error&) {
            // What damaged bytes are to end as.
        } catch (const std::exception& e) {
            wrong = std::string("another exception than Error: ") + e.what();
        }
    }
    file.restore();
    return wrong;
}

std::vector<std::string> attach_seeds() {
    std::vector<std::string> seeds;
    for (char which = 0; which < 4; ++which) {
        const std::string begin{which};
        seeds.push_back(begin + std::string("\x08\x2f\x0a\x02\x0c\x01\x0e\x0f\x00\x01", 10));
        seeds.push_back(begin + std::string("\x08\x0d\x0a\x03\x0c\x02\x0e\x0f\x01\x00", 10));
        // A number of the descriptor, its checksum made right; then everybody looks.
        seeds.push_back(begin + std::string("\x00\x00\x16\x01\x03\x01\x08\x04\x0a\x00\x0e", 11));
        seeds.push_back(begin + std::string("\x00\x00\x12\x01\x01\x0c\x08\x04\x0a\x00\x0e", 11));
        seeds.push_back(begin + std::string("\x07\x04\x20\x08\x04\x0a\x00\x0c\x00\x0e", 10));
    }
    return seeds;
}

}  // namespace ndshare::fuzz
