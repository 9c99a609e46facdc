// fuzz/mutate.h: inputs made from others, by a seed. Threads: one a Mutator.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace ndshare::fuzz {

class Mutator {
 public:
    explicit Mutator(std::uint64_t seed) : state_(seed) {}
    // One of all, changed in one to four places; sometimes two joined.
    std::string descriptor_from(const std::vector<std::string>& all);
    // Another script: bytes set, put in, taken out, or from another one.
    std::string script_from(const std::vector<std::string>& all);
    // Text in the neighbourhood of what dtypes look like.
    std::string dtype_from(const std::vector<std::string>& all);

 private:
    std::uint64_t next();
    std::size_t below(std::size_t count) { return static_cast<std::size_t>(next() % count); }
    std::uint64_t odd_number();
    void flip_bits(std::string& input);
    void cut_or_grow(std::string& input);
    void edit_field(std::string& input);
    void edit_text(std::string& input);
    std::uint64_t state_;
};

}  // namespace ndshare::fuzz
