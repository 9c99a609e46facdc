#include "support/options.h"

#include <algorithm>
#include <stdexcept>

namespace bench {

Options::Options(int argc, char** argv, const std::vector<std::string>& known) {
    std::string list;
    for (const auto& word : known) list += " " + word;
    for (int k = 1; k < argc; k += 2) {
        const std::string word = argv[k];
        if (std::find(known.begin(), known.end(), word) == known.end()) {
            throw std::invalid_argument("unknown option " + word + "; known:" + list);
        }
        if (k + 1 == argc) throw std::invalid_argument(word + " needs a value");
        values_[word] = argv[k + 1];
    }
}

std::string Options::text(const std::string& word, const std::string& otherwise) const {
    const auto found = values_.find(word);
    return found == values_.end() ? otherwise : found->second;
}

std::int64_t Options::number(const std::string& word, std::int64_t otherwise) const {
    const auto found = values_.find(word);
    if (found == values_.end()) return otherwise;
    std::size_t used = 0;
    const std::int64_t value = std::stoll(found->second, &used);
    if (used != found->second.size()) throw std::invalid_argument(word + " takes a number");
    return value;
}

}  // namespace bench
