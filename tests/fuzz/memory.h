// fuzz/memory.h: where the targets work: names of their own, and one segment whose bytes are
// overwritten and put back, run for run.
// Threads: one.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/segment.h"
#include "fuzz/script.h"
#include "platform/fd.h"

namespace ndshare::fuzz {

// Names and files of this process alone; they go with it. What a killed one left, the next clears.
const std::string& own_folder();
void clear_what_the_dead_left();

struct Area {
    std::uint64_t at_bytes, size_bytes;
};

class Memory {
 public:
    // Of the segment that the name leads to, as it is now. It is held until the process ends.
    explicit Memory(std::string name);
    Memory(const Memory&) = delete;

    const std::string& name() const { return name_; }
    const layout::Descriptor& descriptor() const { return segment_->description().fields; }
    // Where in the file the words behind the common control region begin.
    std::uint64_t own_words() const;
    // One word of one of the areas, 4 or 8 bytes, from what the script says.
    void poke(Script& script, const std::vector<Area>& areas) const;
    // As it was, under its name.
    void restore() const;

 private:
    std::string name_;
    std::shared_ptr<api::Segment> segment_;
    std::string bytes_;
};

// Bytes that lie in memory which may be read: reads them all.
void touch(const std::byte* begin, std::size_t bytes);

}  // namespace ndshare::fuzz
