// process/fault_world.h: a book of its own, children with a fault planned, and what must hold
// for the survivors whatever happened to them.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "ndshare/ndshare.hpp"

namespace ndshare::test {

class FaultWorld {
 public:
    FaultWorld();   // NDSHARE_DIR is a fresh folder until the destructor
    ~FaultWorld();  // removes it
    FaultWorld(const FaultWorld&) = delete;

    struct Ended {
        bool exited = false, killed = false, stopped = false;
        int code = 0;
        pid_t pid = 0;
        pid_t stopped_pid = 0;  // the child itself or, where the fault hit one, a child of it
        std::string output;
    };
    // Runs tests/process/child.cpp to its end, or to its stop. fault: "point:action:count".
    Ended run(const std::string& scenario, const std::string& name, const std::string& fault);
    // The points the scenario passes, in order, with repetitions.
    std::vector<std::string> trace(const std::string& scenario, const std::string& name);
    // Goes on after a stop, to the end.
    Ended resume(const Ended& stopped);

    // Names in the book and files in the root, without locks and temporary ones.
    std::vector<std::string> names_left() const;
    const std::string& folder() const { return folder_; }

 private:
    Ended wait_for(pid_t pid) const;
    std::string folder_;
    static constexpr int kSaidNo = 3;  // a child's exit code for an Error
    int faults_ = 0;                   // that happened: killed, stopped, or an Error that was told
};

}  // namespace ndshare::test
