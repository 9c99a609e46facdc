#include "auditor.h"

#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "audit.h"
#include "roles.h"

namespace ndshare::soak {
namespace {

// One name. Its memory may be replaced; what is remembered belongs to the memory.
class Watched {
 public:
    explicit Watched(const char* name) : name_(name) {}

    bool look(const Ledger& ledger) {
        if (looks_++ % 64 == 0) find();
        if (!segment_) return false;
        try {
            audit_->look(ledger);
        } catch (const Wrong& wrong) {
            throw Wrong(std::string(name_) + ": " + wrong.what());
        }
        return true;
    }
    void look_at_rest() {
        find();
        if (!segment_) throw Wrong(std::string(name_) + " is gone");
        audit_->look_at_rest();
    }

 private:
    void find() {
        std::string path;
        std::uint64_t generation = 0;
        try {
            const Info found = info(name_);
            path = found.path, generation = found.generation;
        } catch (const Error& error) {
            if (error.code() != Errc::not_found) throw;
        }
        if (path.empty()) return forget();
        if (segment_ && segment_->generation() == generation) return;
        forget();
        segment_ = RawSegment::map(path);
        // Its holder may have died, and its number be another memory's by now.
        if (segment_ && segment_->generation() != generation) segment_.reset();
        if (segment_) audit_ = std::make_unique<Audit>(*segment_);
    }
    void forget() {
        audit_.reset();
        segment_.reset();
    }

    const char* name_;
    std::uint64_t looks_ = 0;
    std::unique_ptr<RawSegment> segment_;
    std::unique_ptr<Audit> audit_;
};

}  // namespace

void audit(Life& life, Ledger& ledger) {
    std::vector<Watched> all;
    for (const char* name : {kArrayNames[0], kArrayNames[1], kDropName, kBlockName, kServiceName}) {
        all.emplace_back(name);
    }
    try {
        while (ledger.phase.load() != kAtRest) {
            std::uint32_t seen = 0;
            for (Watched& one : all) {
                life.now(Doing::reading);
                seen += one.look(ledger) ? 1 : 0;
                life.did(Doing::reading);
            }
            ledger.looks.fetch_add(seen);
            usleep(1000);
        }
        for (Watched& one : all) {
            if (&one != &all[1]) one.look_at_rest();
        }
        ledger.phase.store(kAudited);
    } catch (const Wrong& wrong) {
        life.wrong(std::string("raw memory: ") + wrong.what());
    }
    life.now(Doing::leaving);
}

}  // namespace ndshare::soak
