// Memory that ends at every allocation of every operation: the operation succeeds or says
// out_of_memory, and works again when there is memory; no descriptor, mapping, name, frame, slot or
// call is lost, nobody hangs, and nothing that must not fail ends the process.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <new>
#include <thread>
#include <utility>

#include "fault_world.h"

namespace {

// Of this thread: how many allocations succeed still; negative: all.
thread_local long t_allocations_left = -1;
// Afterwards one fails, or all do.
thread_local bool t_is_for_good = false;
thread_local long t_failed = 0;

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
    if (t_allocations_left == 0) {
        if (!t_is_for_good) t_allocations_left = -1;
        ++t_failed;
        return nullptr;
    }
    if (t_allocations_left > 0) --t_allocations_left;
    void* memory = nullptr;
    return posix_memalign(&memory, std::max(alignment, sizeof(void*)), bytes) == 0 ? memory
                                                                                   : nullptr;
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
    void* memory = allocate(bytes, alignment);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

constexpr std::size_t kDefault = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace

void* operator new(std::size_t bytes) { return allocate_or_throw(bytes, kDefault); }
void* operator new[](std::size_t bytes) { return allocate_or_throw(bytes, kDefault); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
    return allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    return allocate(bytes, kDefault);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
    return allocate(bytes, kDefault);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace ndshare::test {
namespace {

using namespace std::chrono_literals;

const Spec kSpec{.shape = {4}, .dtype = "u8"};
const Fields kNumber{{"n", {.shape = {}, .dtype = "u8"}}};
const WorkerOptions kService{.slots = 4};
const PublisherOptions kStream{.shape = {4}, .dtype = "u8", .slots = 4, .shared = true};
std::vector<std::byte> bytes_of(std::uint8_t value) {
    return std::vector<std::byte>(32, std::byte{value});
}

void require(bool good, const char* what) {
    if (!good) throw std::logic_error(what);
}

// What stands around an operation succeeds.
class Unharmed {
 public:
    Unharmed() : left_(std::exchange(t_allocations_left, -1)) {}
    ~Unharmed() { t_allocations_left = left_; }
    Unharmed(const Unharmed&) = delete;

 private:
    const long left_;
};

Call ask(Client& client, std::uint64_t value) {
    Call call = client.loan(20s);
    std::memcpy(call.bytes().data(), &value, sizeof value);
    call.submit(20s);
    return call;
}

void answer(Batch& batch) {
    const auto in = batch.input<const std::uint64_t, 1>();
    const auto out = batch.output<std::uint64_t, 1>();
    for (std::size_t k = 0; k < batch.size(); ++k) out(k) = in(k) + 1;
    batch.reply();
}

// What is there all the time: an array, a stream with a frame, a service that is served.
class Others {
 public:
    Others()
        : array_(Array::create("keep", kSpec)),
          publisher_("cam", kStream),
          worker_("svc", kNumber, kNumber, kService),
          serving_([this] { worker_.run(answer); }) {
        put();
        Subscriber subscriber("cam", {.latest = true});
        ref_ = subscriber.get(5s)->ref();
    }
    ~Others() {
        worker_.close();
        serving_.join();
    }
    void put() { require(publisher_.put_bytes(bytes_of(7)).has_value(), "put"); }
    const FrameRef& ref() const { return ref_; }

 private:
    Array array_;
    Publisher publisher_;
    Worker worker_;
    std::thread serving_;
    FrameRef ref_;
};

struct Operation {
    const char* name;
    std::function<void(Others&)> run;
};

const Operation kOperations[] = {
    {"create",
     [](Others&) {
         const auto a = Array::create("new", kSpec, bytes_of(1), {.attrs_json = "{\"x\":1}"});
         require(a.version() == 1, "version");
     }},
    {"create_a_file",
     [](Others&) {
         const auto a = Array::create("new", kSpec, {.sharing = {.persistent = true}});
         const Unharmed now;
         require(unlink("new"), "unlink");
     }},
    {"unlink",
     [](Others&) {
         {
             const Unharmed now;
             const auto a = Array::create("new", kSpec, {.sharing = {.persistent = true}});
         }
         try {
             (void)unlink("new");
         } catch (...) {
             const Unharmed now;
             require(unlink("new"), "a failed unlink took the name");
             throw;
         }
     }},
    {"create_without_a_name", [](Others&) { (void)Array::create("", kSpec); }},
    {"replace_and_adopt",
     [](Others&) {
         const auto a = Array::create("new", kSpec);
         const auto b = Array::create("new", kSpec, {.existing = Existing::replace});
         const auto c = Array::create("new", kSpec, {.existing = Existing::adopt});
         require(a.replaced() && !c.replaced(), "replaced");
     }},
    {"open",
     [](Others&) {
         auto a = Array::open("keep");
         auto copy = bytes_of(0);
         require(a.read(std::span(copy), 5s), "read");
     }},
    {"write",
     [](Others&) {
         auto a = Array::open("keep", {.writeable = true});
         a.assign_bytes(bytes_of(3), 5s);
         auto writing = a.write(5s, true);
         writing->commit();
     }},
    {"attributes",
     [](Others&) {
         auto a = Array::open("keep", {.writeable = true});
         a.update_attrs([](std::string_view) { return std::string("{\"n\":1}"); });
         require(a.attrs_json().find('n') != std::string::npos, "attrs");
     }},
    {"poll",
     [](Others&) {
         auto a = Array::open("keep");
         require(a.fileno() > 2, "fileno");
     }},
    {"publish",
     [](Others&) {
         Publisher p("new", {.shape = {4}, .dtype = "u8", .slots = 4});
         Subscriber s("new");
         require(p.put_bytes(bytes_of(1)).has_value(), "put");
         Loan loan = p.loan();
         (void)loan.publish();
         require(s.get(5s).has_value() && s.get(5s).has_value(), "lost");
         p.end();
     }},
    {"join_a_stream",
     [](Others&) {
         Publisher p("cam", kStream);
         require(p.put_bytes(bytes_of(7), {.attrs_json = "{\"x\":1}"}).has_value(), "put");
     }},
    {"subscribe",
     [](Others& others) {
         Subscriber s("cam");
         (void)s.get(0s);
         others.put();
         require(s.get(5s).has_value(), "lost");
     }},
    {"hold_many_frames",
     [](Others& others) {
         Subscriber s("cam");
         (void)s.get(0s);
         std::vector<Frame> held;
         for (int k = 0; k < 6; ++k) {
             others.put();
             held.push_back(*s.get(5s));
         }
     }},
    {"get_by_number",
     [](Others& others) {
         Subscriber s("cam", {.latest = true});
         others.put();
         const auto frame = s.get(5s);
         require(frame->ref().get().has_value(), "gone");
     }},
    {"work",
     [](Others&) {
         Worker w("new", kNumber, kNumber, kService);
         Client c("new");
         const Call call = ask(c, 1);
         auto batch = w.get({}, 5s);
         answer(*batch);
     }},
    {"join_a_service", [](Others&) { const Worker w("svc"); }},
    {"call",
     [](Others&) {
         Client c("svc");
         Call call = ask(c, 41);
         require(call.result(20s).value<std::uint64_t>() == 42, "answer");
         Call polled = ask(c, 1);
         require(polled.fileno() > 2, "fileno");
         require(polled.wait(20s) == Outcome::answered, "outcome");
     }},
    {"list", [](Others&) { require(ls().size() == 3, "names"); }},
    {"look", [](Others&) { require(info("svc").kind == Kind::service, "kind"); }},
};

void PrintTo(const Operation& operation, std::ostream* out) { *out << operation.name; }

class NoMemory : public testing::TestWithParam<Operation> {};

std::size_t descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::size_t mappings() {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);) count += line.find("ndshare") != line.npos;
    return count;
}

// False: no allocation was left to fail.
bool fail_at(long n, bool is_for_good, const Operation& operation, Others& others) {
    t_failed = 0;
    t_is_for_good = is_for_good;
    t_allocations_left = n;
    try {
        operation.run(others);
        t_allocations_left = -1;
    } catch (const std::bad_alloc&) {  // not even for a text
        t_allocations_left = -1;
    } catch (const Error& e) {
        t_allocations_left = -1;
        EXPECT_EQ(e.code(), Errc::out_of_memory) << e.what();
    } catch (const std::exception& e) {
        t_allocations_left = -1;
        ADD_FAILURE() << "allocation " << n << ": " << e.what();
    }
    return t_failed > 0;
}

TEST_P(NoMemory, is_an_error_at_any_allocation_and_nothing_is_lost_or_left) {
    alarm(300);
    const FaultWorld world;
    Others others;
    const Operation& operation = GetParam();
    for (int k = 0; k < 3; ++k) operation.run(others);
    const std::size_t descriptors_before = descriptors(), mappings_before = mappings();
    for (const bool is_for_good : {false, true}) {
        long n = 0;
        for (; fail_at(n, is_for_good, operation, others); ++n) {
            ASSERT_NO_THROW(operation.run(others)) << "after allocation " << n;
            ASSERT_EQ(descriptors(), descriptors_before) << "after allocation " << n;
            ASSERT_EQ(mappings(), mappings_before) << "after allocation " << n;
            ASSERT_EQ(ls().size(), 3U) << "after allocation " << n;
            if (HasFailure()) return;
        }
        EXPECT_GT(n, 0) << "nothing was made to fail";
    }
    alarm(0);
}

// Its publisher waits for every frame that is let go of, and takes the slot at once.
TEST(NoMemoryForFrames, loses_none_of_a_block_stream) {
    alarm(300);
    const FaultWorld world;
    constexpr std::uint64_t kFrames = 20000;
    Publisher publisher("block",
                        {.shape = {4}, .dtype = "u8", .slots = 2, .overflow = Overflow::block});
    Subscriber subscriber("block");
    std::thread publishing([&] {
        for (std::uint64_t k = 1; k <= kFrames; ++k) {
            const std::uint64_t words[4] = {k, k, k, k};
            (void)publisher.put_bytes(std::as_bytes(std::span(words)));
        }
    });
    std::uint64_t failed = 0;
    for (std::uint64_t k = 1; k <= kFrames; ++k) {
        std::optional<Frame> frame;
        t_is_for_good = false;
        t_failed = 0;
        t_allocations_left = static_cast<long>(k % 2);
        try {
            frame = subscriber.get(20s);
        } catch (const std::bad_alloc&) {
        } catch (const Error& e) {
            t_allocations_left = -1;
            EXPECT_EQ(e.code(), Errc::out_of_memory) << e.what();
        }
        t_allocations_left = -1;
        failed += t_failed > 0 ? 1 : 0;
        if (!frame) frame = subscriber.get(20s);
        std::uint64_t number = 0;
        std::memcpy(&number, frame->bytes().data(), sizeof number);
        if (number != k) {
            ADD_FAILURE() << "frame " << k << " was lost, " << number << " came";
            break;
        }
    }
    EXPECT_EQ(subscriber.lost(), 0U);
    EXPECT_GT(failed, kFrames / 4);
    subscriber.close();  // the publisher waits for nobody then
    publishing.join();
    alarm(0);
}

INSTANTIATE_TEST_SUITE_P(Operations, NoMemory, testing::ValuesIn(kOperations),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace ndshare::test
