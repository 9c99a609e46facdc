// soak/nursery.h: a Python process that has imported the package once and forks children that are
// there in milliseconds; they become the campaign's own (PR_SET_CHILD_SUBREAPER).
// Threads: one. Processes: one, ended by the destructor.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace ndshare::soak {

class Nursery {
 public:
    Nursery() = default;
    ~Nursery();
    Nursery(const Nursery&) = delete;
    // Throws std::system_error.
    void start(const std::string& python, const std::string& script, const std::string& ledger);
    void end();
    bool is_there() const { return pid_ != 0; }
    // The pid of the new child.
    pid_t bear(const std::string& role, std::size_t place, std::uint64_t id, std::uint64_t seed);

 private:
    pid_t pid_ = 0;
    int to_ = -1, from_ = -1;
};

}  // namespace ndshare::soak
