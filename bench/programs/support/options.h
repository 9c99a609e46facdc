// support/options.h: a program's command line, "--word value" pairs and nothing else.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bench {

class Options {
 public:
    // Throws std::invalid_argument, with what is known, for any other word.
    Options(int argc, char** argv, const std::vector<std::string>& known);
    std::string text(const std::string& word, const std::string& otherwise) const;
    std::int64_t number(const std::string& word, std::int64_t otherwise) const;

 private:
    std::map<std::string, std::string> values_;
};

}  // namespace bench
