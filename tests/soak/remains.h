// soak/remains.h: what a campaign may have left on the machine.
// Threads: any. Processes: asks about all of this user. Blocks: no.
#pragma once
#include <string>
#include <vector>

namespace ndshare::soak {

// Descriptors and mappings of memory of this name space, in any process.
std::vector<std::string> memory_left(const std::string& name_space);
// Entries of the folder of names, without locks.
std::vector<std::string> names_left(const std::string& folder);

}  // namespace ndshare::soak
