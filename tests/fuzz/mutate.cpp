#include "fuzz/mutate.h"

#include <cstring>

#include "fuzz/target.h"
#include "layout/descriptor.h"

namespace ndshare::fuzz {
namespace {

using layout::Descriptor;

constexpr const char* kPieces[] = {
    "[",        "]",    "(",      ")",          ",",           ", ",    "'",       "\"",
    "\\",       "'a'",  "'b'",    "''",         "'<f4'",       "'|u1'", "'O'",     "'S0'",
    "'U4'",     "(2,)", "(2, 3)", "(0,)",       "7",           "()",    "[('a', ", ")]",
    "bfloat16", "<",    ">",      "=",          "|",           "f8",    "c16",     "M8[ns]",
    "T",        "V",    "S",      "2147483648", "99999999999", "größe", " ",       "float64"};

}  // namespace

std::uint64_t Mutator::next() {
    // splitmix64 (Steele, Lea, Flood 2014).
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

std::uint64_t Mutator::odd_number() {
    static constexpr std::uint64_t kOdd[] = {
        0,    1,    2,    7,    64,    65,    301,     302,        3072,       3073,
        4095, 4096, 4097, 8192, 61440, 65536, 1 << 20, 0x7fffffff, 0x80000000, 0xffffffff};
    switch (below(4)) {
        case 0:
            return kOdd[below(std::size(kOdd))];
        case 1:
            return ~kOdd[below(std::size(kOdd))];
        case 2:
            return std::uint64_t{1} << below(64);
        default:
            return next();
    }
}

void Mutator::flip_bits(std::string& input) {
    for (std::size_t k = below(4) + 1; k > 0 && !input.empty(); --k) {
        char& byte = input[below(input.size())];
        byte = static_cast<char>(byte ^ (1 << below(8)));
    }
}

void Mutator::cut_or_grow(std::string& input) {
    const std::size_t at = below(input.size() + 1);
    switch (below(3)) {
        case 0:
            input.resize(at);
            break;
        case 1:
            input.erase(at, below(100));
            break;
        default:
            input.insert(at, below(100), static_cast<char>(next()));
    }
}

// A number somewhere in the descriptor, mostly with the checksum made right again.
void Mutator::edit_field(std::string& input) {
    if (input.size() < 1 + layout::kDescriptorPageBytes) return;
    const std::size_t page = input.size() - layout::kDescriptorPageBytes;
    const std::size_t numbers_end = offsetof(Descriptor, shape) + 4 * sizeof(std::int64_t);
    const std::size_t width = below(2) == 0 ? 4 : 8;
    const std::size_t at = page + below(numbers_end / 4 - 1) * 4;
    std::uint64_t value = 0;
    std::memcpy(&value, input.data() + at, width);
    switch (below(3)) {
        case 0:
            value += odd_number();
            break;
        case 1:
            value -= odd_number();
            break;
        default:
            value = odd_number();
    }
    std::memcpy(input.data() + at, &value, width);
    if (below(8) != 0) input[0] = static_cast<char>(kRightChecksum | kOwnSize | (next() & 3));
}

// Another dtype's text behind the descriptor, with its length.
void Mutator::edit_text(std::string& input) {
    if (input.size() < 1 + layout::kDescriptorPageBytes) return;
    const std::size_t page = input.size() - layout::kDescriptorPageBytes;
    const std::string text = dtype_from({});
    if (text.size() > layout::kDtypeInlineBytes) return;
    const auto bytes = static_cast<std::uint32_t>(text.size());
    std::memcpy(input.data() + page + sizeof(Descriptor), text.data(), text.size());
    std::memcpy(input.data() + page + offsetof(Descriptor, dtype_bytes), &bytes, sizeof bytes);
    input[0] = static_cast<char>(kRightChecksum | kOwnSize);
}

std::string Mutator::descriptor_from(const std::vector<std::string>& all) {
    std::string input = all[below(all.size())];
    if (below(16) == 0) {
        const std::string& other = all[below(all.size())];
        const std::size_t at = below(std::min(input.size(), other.size()) + 1);
        input = input.substr(0, at) + other.substr(at);
    }
    for (std::size_t k = below(4) + 1; k > 0; --k) {
        switch (below(6)) {
            case 0:
                flip_bits(input);
                break;
            case 1:
                cut_or_grow(input);
                break;
            case 2:
                edit_text(input);
                break;
            default:
                edit_field(input);
        }
    }
    return input;
}

std::string Mutator::script_from(const std::vector<std::string>& all) {
    std::string input = all[below(all.size())];
    if (below(4) == 0) {
        const std::string& other = all[below(all.size())];
        input = input.substr(0, below(input.size() + 1)) + other.substr(below(other.size() + 1));
    }
    for (std::size_t k = below(6) + 1; k > 0; --k) {
        const std::size_t at = below(input.size() + 1);
        switch (below(4)) {
            case 0:
                flip_bits(input);
                break;
            case 1:
                input.erase(at, below(6));
                break;
            case 2:
                // A step that writes one of the first words somewhere: area, word, how, what.
                for (const std::uint64_t most : {6U, 16U, 64U, 4U, 6U, 64U}) {
                    input.insert(input.begin() + static_cast<std::ptrdiff_t>(at),
                                 static_cast<char>(below(most)));
                }
                break;
            default:
                input.insert(input.begin() + static_cast<std::ptrdiff_t>(at),
                             static_cast<char>(below(16)));
        }
    }
    input.resize(std::min<std::size_t>(input.size(), 160));
    return input;
}

std::string Mutator::dtype_from(const std::vector<std::string>& all) {
    std::string text;
    if (!all.empty() && below(2) == 0) text = all[below(all.size())];
    for (std::size_t k = below(12) + 1; k > 0; --k) {
        const std::size_t at = below(4) == 0 ? below(text.size() + 1) : text.size();
        text.insert(at, kPieces[below(std::size(kPieces))]);
    }
    if (below(8) == 0) flip_bits(text);
    return text;
}

}  // namespace ndshare::fuzz
