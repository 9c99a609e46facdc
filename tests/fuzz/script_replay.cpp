// Replays a target's scripts, then tries scripts made from them by a seed: fuzzing where there is
// no libFuzzer.
//
//   ndshare_fuzz_scripts TARGET FOLDER            attach, take or serve; the corpus and mutations
//   ndshare_fuzz_scripts TARGET FOLDER --canary   must find something, or end by it; else fails
//   ndshare_fuzz_scripts TARGET FOLDER --write    writes the scripts that are made by hand
// NDSHARE_FUZZ_RUNS and NDSHARE_FUZZ_SEED change how many and which. What is found, or was under
// way in a crash or for more than kSecondsMax, is written to found.bin in the working folder.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "fuzz/memory.h"
#include "fuzz/mutate.h"
#include "fuzz/targets.h"

namespace ndshare::fuzz {
namespace {

constexpr unsigned kSecondsMax = 60;
constexpr std::uint64_t kRunsPerAlarm = 500;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kRuns = 4'000;
#else
constexpr std::uint64_t kRuns = 20'000;
#endif

struct Target {
    const char* name;
    std::string (*check)(std::string_view);
    std::vector<std::string> (*seeds)();
};
constexpr Target kTargets[] = {{"attach", check_attach, attach_seeds},
                               {"take", check_take, take_seeds},
                               {"serve", check_serve, serve_seeds}};

// For the signal handler.
std::string under_way;

void write_found() {
    const int fd = open("found.bin", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return;
    (void)!write(fd, under_way.data(), under_way.size());
    close(fd);
}

void on_signal(int number) {
    write_found();
    const char text[] = "a crash, or too slow: the input is in found.bin\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    signal(number, SIG_DFL);
    raise(number);
}

int try_one(const Target& target, const std::string& input, const char* what, std::uint64_t run) {
    under_way = input;
    if (run % kRunsPerAlarm == 0) alarm(kSecondsMax);
    const std::string wrong = target.check(input);
    if (wrong.empty()) return 0;
    std::fprintf(stderr, "%s %llu: %s (the input is in found.bin)\n", what,
                 static_cast<unsigned long long>(run), wrong.c_str());
    write_found();
    return 1;
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::vector<std::string> read_corpus(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::vector<std::string> corpus;
    for (const auto& file : files) {
        std::ifstream in(file, std::ios::binary);
        corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    return corpus;
}

int explore(const Target& target, const std::vector<std::string>& corpus) {
    for (const int number : {SIGSEGV, SIGBUS, SIGABRT, SIGALRM, SIGFPE, SIGILL}) {
        signal(number, on_signal);
    }
    for (std::size_t k = 0; k < corpus.size(); ++k) {
        if (const int failed = try_one(target, corpus[k], "corpus", k); failed != 0) return failed;
    }
    Mutator mutator(number_from("NDSHARE_FUZZ_SEED", 1));
    const std::uint64_t runs = number_from("NDSHARE_FUZZ_RUNS", kRuns);
    for (std::uint64_t run = 0; run < runs; ++run) {
        const std::string input = mutator.script_from(corpus);
        if (const int failed = try_one(target, input, "run", run); failed != 0) return failed;
    }
    alarm(0);
    return 0;
}

// The planted fault may end the process by any of its ends; in a child, so that it is seen.
int expect_a_catch(const Target& target, const std::vector<std::string>& corpus) {
    const pid_t child = fork();
    if (child == 0) _exit(explore(target, corpus));
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return 2;
    clear_what_the_dead_left();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        std::fprintf(stderr, "the planted fault was not caught\n");
        return 1;
    }
    std::printf("the planted fault was caught\n");
    return 0;
}

}  // namespace
}  // namespace ndshare::fuzz

int main(int argc, char** argv) {
    using namespace ndshare::fuzz;
    const auto* const target = std::find_if(
        std::begin(kTargets), std::end(kTargets),
        [&](const Target& one) { return argc > 2 && std::strcmp(one.name, argv[1]) == 0; });
    if (target == std::end(kTargets)) {
        std::fprintf(stderr, "usage: %s attach|take|serve FOLDER [--canary | --write]\n", argv[0]);
        return 2;
    }
    const std::string option = argc > 3 ? argv[3] : "";
    if (option == "--write") {
        std::size_t number = 0;
        for (const std::string& seed : target->seeds()) {
            std::ofstream(std::string(argv[2]) + "/hand" + std::to_string(number++) + ".bin",
                          std::ios::binary)
                << seed;
        }
        return 0;
    }
    const auto corpus = read_corpus(argv[2]);
    if (corpus.empty()) {
        std::fprintf(stderr, "there is no corpus in %s\n", argv[2]);
        return 2;
    }
    return option == "--canary" ? expect_a_catch(*target, corpus) : explore(*target, corpus);
}
