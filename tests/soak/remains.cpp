#include "remains.h"

#include <filesystem>
#include <fstream>
#include <system_error>

namespace ndshare::soak {
namespace fs = std::filesystem;

std::vector<std::string> memory_left(const std::string& name_space) {
    const std::string mark = "memfd:ndshare:" + name_space;
    std::vector<std::string> found;
    std::error_code gone;
    for (const auto& process : fs::directory_iterator("/proc", gone)) {
        const std::string pid = process.path().filename();
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        for (fs::directory_iterator fd(process.path() / "fd", gone), end; !gone && fd != end;
             fd.increment(gone)) {
            const std::string target = fs::read_symlink(fd->path(), gone);
            if (target.find(mark) != std::string::npos) found.push_back(fd->path().string());
        }
        gone.clear();
        std::ifstream maps(process.path() / "maps");
        for (std::string line; std::getline(maps, line);) {
            if (line.find(mark) != std::string::npos) found.push_back(pid + ": " + line);
        }
    }
    return found;
}

std::vector<std::string> names_left(const std::string& folder) {
    std::vector<std::string> found;
    std::error_code gone;
    for (const auto& entry : fs::recursive_directory_iterator(folder, gone)) {
        const std::string name = entry.path().filename();
        if (!entry.is_directory() && name[0] != '.' && name != "ledger") found.push_back(name);
    }
    return found;
}

}  // namespace ndshare::soak
