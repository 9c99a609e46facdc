// sync/sleepers.h: a flag that says that somebody sleeps on a word, so that a change of the word
// costs a system call only then.
//
//   sleeper    announce (flag, then the look at the word), sleep
//   changer    take (before the change is out), the change, wake
//
// Nobody clears the flag after the change, when it may be a later sleeper's: one flag too many
// costs the next changer one wake. Processes: any. Threads: any. Blocks: no. A changer that dies in
// between loses the wake; sleepers sleep in slices.
#pragma once
#include <cstdint>

#include "layout/word.h"

namespace ndshare::sync {

template <class Ground>
class Sleepers {
 public:
    Sleepers(layout::Word32& flag, Ground& ground) : flag_(flag), ground_(ground) {}

    // Asks the next change for a wake; false: the word is no longer seen, do not sleep.
    bool announce(auto& word, std::uint64_t seen) {
        // SYNC(need-wake): the flag first, then the look at the word.
        ground_.store_seq_cst(flag_, std::uint32_t{1});
        return ground_.load_seq_cst(word) == seen;
    }
    // Whoever raised the flag sleeps on an older word than the one that comes, and gets its wake.
    bool take() noexcept {
        // Relaxed: anybody() sees what is missed here.
        return ground_.load_relaxed(flag_) != 0 &&
               ground_.exchange_seq_cst(flag_, std::uint32_t{0}) != 0;
    }
    // SYNC(need-wake): if the sleeper's flag is not seen here, it sees the changed word.
    bool anybody(bool taken) const noexcept { return taken || ground_.load_seq_cst(flag_) != 0; }

 private:
    layout::Word32& flag_;
    Ground& ground_;
};

}  // namespace ndshare::sync
