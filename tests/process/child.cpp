// The child of the fault walk: does one thing with an array, as told, and is killed, stopped or
// failed somewhere on the way (base/fault.h).
// Usage: ndshare_child SCENARIO NAME.  Exit code: 0 done, 3 an Error said no (printed), 4 a bug.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "child_services.h"
#include "child_streams.h"
#include "ndshare/ndshare.hpp"

namespace {

using namespace ndshare;
using namespace std::chrono_literals;

const Spec kSpec{.shape = {64}, .dtype = "u8"};

std::vector<std::uint64_t> all_of(std::uint64_t value) {
    return std::vector<std::uint64_t>(64, value);
}

void require(bool good, const char* what) {
    if (good) return;
    std::printf("wrong: %s\n", what);
    std::exit(4);
}

void require_uniform(const Array& array) {
    auto copy = all_of(0);
    require(array.read(std::as_writable_bytes(std::span(copy))), "read timed out");
    for (const auto value : copy) require(value == copy[0], "a torn copy was accepted");
}

Array open_writeable(const std::string& name) { return Array::open(name, {.writeable = true}); }

void write_value(Array& array, std::uint64_t value) {
    const auto values = all_of(value);
    array.assign(std::span<const std::uint64_t>(values));
}

const std::map<std::string, std::function<void(const std::string&)>> kScenarios{
    {"create",
     [](const std::string& name) {
         const auto data = all_of(5);
         auto array = Array::create(name + "-new", kSpec, std::as_bytes(std::span(data)),
                                    {.attrs_json = "{\"made\":1}"});
         require_uniform(array);
     }},
    {"create_persistent",
     [](const std::string& name) {
         auto array = Array::create(name + "-file", kSpec, {.sharing = {.persistent = true}});
         write_value(array, 5);
         array.unlink();
     }},
    {"replace_persistent",
     [](const std::string& name) {
         for (int round = 0; round < 2; ++round) {
             auto array =
                 Array::create(name + "-file", kSpec,
                               {.existing = Existing::replace, .sharing = {.persistent = true}});
             write_value(array, 5);
         }
         unlink(std::string_view(name + "-file"));
     }},
    {"replace",
     [](const std::string& name) {
         const auto data = all_of(6);
         auto array = Array::create(name, kSpec, std::as_bytes(std::span(data)),
                                    {.existing = Existing::replace});
         // Hands the name on: the test's process opened the new memory meanwhile, or not.
         require_uniform(array);
     }},
    {"replace_by_file",
     [](const std::string& name) {
         auto array = Array::create(
             name, kSpec, {.existing = Existing::replace, .sharing = {.persistent = true}});
         write_value(array, 6);
         array.unlink();
     }},
    {"unlink_by_name", [](const std::string& name) { unlink(std::string_view(name)); }},
    {"open_and_read",
     [](const std::string& name) {
         const auto array = Array::open(name, {.expect = kSpec});
         require_uniform(array);
     }},
    {"write",
     [](const std::string& name) {
         auto array = open_writeable(name);
         write_value(array, 7);
         write_value(array, 8);
     }},
    {"leave",
     [](const std::string& name) {
         auto array = open_writeable(name);
         {
             auto writing = array.write();
         }
         write_value(array, 9);
     }},
    {"attributes",
     [](const std::string& name) {
         auto array = open_writeable(name);
         array.update_attrs([](std::string_view) { return "{\"new\":\"text\"}"; });
         require(array.attrs_json() == "{\"new\":\"text\"}", "attributes");
     }},
    {"unlink",
     [](const std::string& name) {
         auto array = open_writeable(name);
         array.unlink();
     }},
    {"fileno",
     [](const std::string& name) {
         auto array = open_writeable(name);
         require(array.fileno() >= 0, "fileno");
         write_value(array, 10);
     }},
    {"fork",
     [](const std::string& name) {
         auto array = open_writeable(name);
         const pid_t child = fork();
         if (child == 0) {
             try {
                 write_value(array, 11);
             } catch (const Error&) {
                 _exit(3);
             }
             _exit(0);
         }
         int status = 0;
         waitpid(child, &status, 0);
         require_uniform(array);
     }},
    {"pass_name_on",
     [](const std::string& name) {
         auto mine = Array::create(name + "-passed", kSpec);
         int ready[2];
         require(pipe(ready) == 0, "pipe");
         const pid_t heir = fork();  // holds it as well, by the fork hooks
         if (heir == 0) {
             close(ready[1]);  // else nobody's death would be heard
             char byte = 0;
             (void)!read(ready[0], &byte, 1);
             _exit(0);
         }
         mine.close();
         const auto again = Array::open(name + "-passed");
         require(again.version() == 0, "passed on");
         (void)!::write(ready[1], "x", 1);
         int status = 0;
         waitpid(heir, &status, 0);
     }},
    // The first to come makes the folder of names.
    {"first_book",
     [](const std::string& name) {
         const std::string folder =
             std::string(std::getenv("NDSHARE_DIR")) + "/second-" + std::to_string(getpid());
         mkdir(folder.c_str(), 0700);
         setenv("NDSHARE_DIR", folder.c_str(), 1);
         auto array = Array::create(name, kSpec);
         require_uniform(Array::open(name));
     }},
    // A sleeper hears of a write even if the writer dies before it wakes anybody.
    {"wake",
     [](const std::string& name) {
         auto array = open_writeable(name);
         const std::uint64_t before = array.version();
         const pid_t sleeper = fork();
         if (sleeper == 0) {
             try {
                 _exit(array.wait(30s, before) ? 0 : 4);
             } catch (const Error& e) {
                 _exit(e.code() == Errc::incomplete_write ? 0 : 3);
             }
         }
         usleep(20'000);
         write_value(array, 14);
         int status = 0;
         waitpid(sleeper, &status, 0);
         require(!WIFEXITED(status) || WEXITSTATUS(status) != 4, "a write was slept through");
     }},
    // Somebody died inside write(): recovers the lock, is told, heals.
    {"heal",
     [](const std::string& name) {
         auto array = open_writeable(name);
         const pid_t victim = fork();
         if (victim == 0) {
             auto writing = array.write();
             _exit(0);
         }
         int status = 0;
         waitpid(victim, &status, 0);
         bool told = false;
         try {
             require_uniform(array);
         } catch (const Error& e) {
             if (e.code() != Errc::incomplete_write) throw;
             told = true;
         }
         // With a fault planned the victim may not have got in, or somebody else healed it first.
         const bool undisturbed = std::string(std::getenv("NDSHARE_FAULT")) == "none:none";
         require(told || !undisturbed, "an incomplete write passed for a complete one");
         write_value(array, 12);
         require_uniform(array);
     }},
    // A reader that writers overtake: asks for its turn and gets it.
    {"turn",
     [](const std::string& name) {
         auto array = open_writeable(name);
         int count = 0;
         bool done = array.read([&](auto) {
             if (++count > 3) return;
             const pid_t writer = fork();  // a write in the middle of the copy
             if (writer == 0) {
                 try {
                     auto other = open_writeable(name);
                     write_value(other, 13);
                 } catch (const Error&) {
                     _exit(3);
                 }
                 _exit(0);
             }
             int status = 0;
             waitpid(writer, &status, 0);
         });
         require(done && count >= 1, "turn");
     }},
};

}  // namespace

int main(int argc, char** argv) {
    auto all = kScenarios;
    all.merge(std::map(ndshare::test::stream_scenarios()));
    all.merge(std::map(ndshare::test::service_scenarios()));
    if (argc != 3 || !all.contains(argv[1])) {
        for (const auto& [name, run] : all) std::printf("%s\n", name.c_str());
        return 2;
    }
    try {
        all.at(argv[1])(argv[2]);
    } catch (const ndshare::Error& e) {
        std::printf("%s\n", e.what());
        return 3;
    }
    return 0;
}
