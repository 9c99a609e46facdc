// Replays the corpus, then tries inputs made from it by a seed: fuzzing where there is no
// libFuzzer.
//
//   ndshare_fuzz_replay FOLDER            the corpus and 200 000 mutations
//   ndshare_fuzz_replay FOLDER --canary   with a careless reader: must find something, else fails
//   ndshare_fuzz_replay FOLDER --write    writes the corpus anew
// NDSHARE_FUZZ_RUNS and NDSHARE_FUZZ_SEED change how many and which. What is found is written to
// found.bin in the working folder.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "fuzz/mutate.h"
#include "fuzz/target.h"
#include "layout/service.h"
#include "layout/stream.h"
#include "support/segment_plan.h"

namespace ndshare::fuzz {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kRuns = 40'000;
#else
constexpr std::uint64_t kRuns = 200'000;
#endif

using support::plan_of;

struct Corpus {
    std::vector<std::string> descriptors, dtypes;
};

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

Corpus read_corpus(const std::filesystem::path& folder) {
    Corpus corpus;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        std::ifstream in(entry.path(), std::ios::binary);
        std::ostringstream bytes;
        bytes << in.rdbuf();
        const bool text = entry.path().extension() == ".txt";
        (text ? corpus.dtypes : corpus.descriptors).push_back(bytes.str());
    }
    return corpus;
}

void write_input(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

std::string input_of(const layout::SegmentPlan& plan, char switches = kOwnSize) {
    const auto d = layout::describe(plan);
    const std::string pages = layout::descriptor_pages(d, plan.dtype);
    const bool is_long = plan.dtype.size() > layout::kDtypeInlineBytes;
    return switches + (is_long ? plan.dtype : "") + support::last_page(pages);
}

void write_corpus(const std::filesystem::path& folder) {
    write_input(folder / "float64.bin", input_of(plan_of("f8", {5, 5})));
    // Where a change of any number is a whole descriptor again, a fuzzer gets behind the checksum.
    const char whole = kOwnSize | kRightChecksum;
    write_input(folder / "whole.bin", input_of(plan_of("f8", {5, 5}), whole));
    write_input(folder / "scalar.bin", input_of(plan_of("M8[ns]", {})));
    write_input(folder / "empty.bin", input_of(plan_of("S0", {0, 7})));
    auto record = plan_of("[('größe', '<f4', (3,)), ('', '|V4')]", {2, 3}, "cam/größe");
    record.page_bytes = 65536;
    record.persistent = true;
    write_input(folder / "record.bin", input_of(record));
    write_input(folder / "dimensions.bin",
                input_of(plan_of("u1", std::vector<std::int64_t>(64, 1))));
    write_input(folder / "long_dtype.bin", input_of(plan_of(support::long_dtype(3100), {2})));
    layout::Field boxes, number;
    boxes.name = "boxes";
    boxes.dtype = "f4";
    boxes.shape = {300, 6};
    boxes.variable = true;
    number.name = "number";
    number.dtype = "u8";
    const auto slot = layout::plan_slot({boxes, number});
    auto stream = plan_of("u1", {8}, "cam/front");
    stream.kind = layout::kKindStream;
    stream.dtype = layout::fields_text(slot.fields);
    stream.itemsize = slot.slot_bytes;
    stream.data_bytes = 8 * slot.slot_bytes;
    write_input(folder / "stream.bin", input_of(stream));
    write_input(folder / "whole_stream.bin", input_of(stream, whole));
    layout::Field image = number, scores = boxes;
    image.name = "image";
    image.shape = {32, 32, 3};
    scores.result = true;
    const auto pool = layout::plan_service({image, scores}, 8);
    auto service = plan_of("u1", {1}, "detector");
    service.kind = layout::kKindService;
    service.dtype = layout::service_text(pool);
    service.slot_count = 8;
    service.itemsize = service.data_bytes = pool.pool_bytes;
    write_input(folder / "service.bin", input_of(service));
    write_input(folder / "whole_service.bin", input_of(service, whole));
    write_input(folder / "title.txt", "[(('a title', 'a'), '<f4'), ('b', [('c', '|S3')], (2, 3))]");
    write_input(folder / "bfloat16.txt", "[('w', 'bfloat16', (3,)), (\"it's\", '>U7')]");
}

int report(const char* what, std::uint64_t run, const std::string& input, const std::string& why) {
    std::fprintf(stderr, "%s %llu: %s (the input is in found.bin)\n", what,
                 static_cast<unsigned long long>(run), why.c_str());
    write_input("found.bin", input);
    return 1;
}

int replay(const Corpus& corpus) {
    for (std::size_t k = 0; k < corpus.descriptors.size(); ++k) {
        const std::string why = check_descriptor(corpus.descriptors[k]);
        if (!why.empty()) return report("corpus", k, corpus.descriptors[k], why);
    }
    for (std::size_t k = 0; k < corpus.dtypes.size(); ++k) {
        const std::string why = check_dtype(corpus.dtypes[k]);
        if (!why.empty()) return report("corpus", k, corpus.dtypes[k], why);
    }
    return 0;
}

int explore(const Corpus& corpus, bool careless) {
    const std::uint64_t seed = number_from("NDSHARE_FUZZ_SEED", 1);
    const std::uint64_t runs = number_from("NDSHARE_FUZZ_RUNS", kRuns);
    Mutator mutator(seed);
    for (std::uint64_t run = 0; run < runs; ++run) {
        const std::string input = mutator.descriptor_from(corpus.descriptors);
        const std::string why = check_descriptor(input, careless);
        if (!why.empty() && careless) {
            std::printf("the careless reader was caught in run %llu: %s\n",
                        static_cast<unsigned long long>(run), why.c_str());
            return 0;
        }
        if (!why.empty()) return report("run", run, input, why);
        const std::string text = mutator.dtype_from(corpus.dtypes);
        const std::string why_text = check_dtype(text);
        if (!why_text.empty()) return report("dtype in run", run, text, why_text);
    }
    if (careless) std::fprintf(stderr, "the careless reader was not caught\n");
    return careless ? 1 : 0;
}

}  // namespace
}  // namespace ndshare::fuzz

int main(int argc, char** argv) {
    using namespace ndshare::fuzz;
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s FOLDER [--canary | --write]\n", argv[0]);
        return 2;
    }
    const std::string option = argc > 2 ? argv[2] : "";
    if (option == "--write") {
        write_corpus(argv[1]);
        return 0;
    }
    const Corpus corpus = read_corpus(argv[1]);
    if (corpus.descriptors.empty() || corpus.dtypes.empty()) {
        std::fprintf(stderr, "there is no corpus in %s\n", argv[1]);
        return 2;
    }
    if (const int failed = replay(corpus); failed != 0) return failed;
    return explore(corpus, option == "--canary");
}
