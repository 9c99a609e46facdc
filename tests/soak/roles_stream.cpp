// Children that hold streams: publishers, subscribers in order, of the newest, and of `block`.
#include <poll.h>

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "payload.h"
#include "roles.h"

namespace ndshare::soak {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::byte>;

// What one publisher says: its frames' counts have no holes.
class Voice {
 public:
    Voice(Life& life, const char* name)
        : life_(life),
          blocks_(name == kBlockName),
          publisher_(name, stream_options(blocks_ ? Overflow::block : Overflow::drop_oldest)) {}
    void speak() {
        life_.now(Doing::publishing);
        switch (life_.below(8)) {
            case 0:
                return many();
            case 1:
                (void)loan(false);
                return life_.did(Doing::publishing);
            case 2:
            case 3:
            case 4:
                return said(loan(true));
            default: {
                Bytes bytes(kPayloadBytes);
                fill(bytes, {life_.id(), count_ + 1});
                return said(publisher_.put_bytes(bytes, {.timeout = kPatience}));
            }
        }
    }

 private:
    std::optional<std::uint64_t> loan(bool wanted) {
        auto loan = publisher_.loan(kPatience);
        life_.require(loan.has_value(), "a block publisher got no slot in time");
        const auto memory = loan->memory(0);
        const std::span bytes(memory.get(), kPayloadBytes);
        fill(bytes, {life_.id(), count_ + 1}, 1, 2);
        if (!wanted) return std::nullopt;
        fill(bytes, {life_.id(), count_ + 1}, 0, 2);
        if (life_.one_in(4)) loan->attrs_json("{\"count\":" + std::to_string(count_ + 1) + "}");
        const auto seq = loan->publish();
        if (life_.is_canary("changed-frame")) fill(bytes, {life_.id(), count_ + 7}, 1, 2);
        return seq;
    }
    void said(std::optional<std::uint64_t> seq) {
        if (!seq) {
            life_.require(!blocks_, "a block publisher dropped a frame");
            return life_.did(Doing::publishing);
        }
        life_.require(*seq > last_, "a publisher's numbers went back");
        last_ = *seq;
        count_ += life_.is_canary("skipped-frame") ? 2 : 1;
        life_.did(Doing::publishing);
    }
    void many() {
        const std::size_t n = 1 + life_.below(6);
        Bytes bytes(n * kPayloadBytes);
        for (std::size_t k = 0; k < n; ++k) {
            fill(std::span(bytes).subspan(k * kPayloadBytes, kPayloadBytes),
                 {life_.id(), count_ + 1 + k});
        }
        const std::size_t done = publisher_.put_many(bytes, n, kPatience);
        life_.require(done == n || !blocks_, "a block publisher did not publish all in time");
        // In `drop_oldest` others may be left out in the middle: then none of these counts again.
        count_ += n;
        life_.did(Doing::publishing, n);
    }

    Life& life_;
    bool blocks_;
    Publisher publisher_;
    std::uint64_t count_ = 0, last_ = 0;
};

// Frames that were taken, and are looked at again before they are let go.
class Hands {
 public:
    explicit Hands(Life& life) : life_(life) {}
    Mark take(const Frame& frame) {
        const auto mark = proven(frame.bytes());
        if (!mark) life_.wrong("torn: a frame mixes writes, seq " + std::to_string(frame.seq()));
        const std::string& attrs = frame.attrs_json();
        if (attrs != "{}" && attrs != "{\"count\":" + std::to_string(mark->count) + "}") {
            life_.wrong("wrong: a frame has another's attributes: " + attrs);
        }
        held_.emplace_back(frame, *mark);
        return *mark;
    }
    void let_go(std::size_t keep) {
        life_.now(Doing::holding);
        while (held_.size() > keep) {
            const auto& [frame, mark] = held_.front();
            if (life_.one_in(16)) refer(frame, mark);
            if (proven(frame.bytes()) != mark) life_.wrong("torn: a pinned frame changed");
            held_.pop_front();
        }
        if (held_.empty()) life_.may_hold_frames(false);
    }

 private:
    void refer(const Frame& frame, const Mark& mark) {
        const auto again = frame.ref().get();
        if (!again) return;  // too old to be found by its number
        life_.require(proven(again->bytes()) == mark, "torn: a referred frame is another");
    }
    Life& life_;
    std::deque<std::pair<Frame, Mark>> held_;
};

// A publisher's counts as one subscriber sees them.
class Counts {
 public:
    Counts(Life& life, bool without_holes) : life_(life), without_holes_(without_holes) {}
    void see(const Mark& mark) {
        const auto [at, is_new] = last_.try_emplace(mark.writer, mark.count);
        if (is_new) return;
        const bool good = without_holes_ ? mark.count == at->second + 1 : mark.count > at->second;
        if (!good) {
            life_.wrong("lost: of publisher " + std::to_string(mark.writer) + " came " +
                        std::to_string(mark.count) + " after " + std::to_string(at->second));
        }
        at->second = mark.count;
    }

 private:
    Life& life_;
    bool without_holes_;
    std::map<std::uint64_t, std::uint64_t> last_;
};

Frame get(Life& life, Subscriber& subscriber) {
    life.may_hold_frames(true);
    life.now(Doing::taking);
    auto frame = subscriber.get(kPatience);
    if (!frame) life.wrong("hung: no frame came in time");
    return *std::move(frame);
}

// In one stroke as many as are there, copied.
std::size_t get_many(Life& life, Subscriber& subscriber, Counts& counts) {
    Bytes bytes(5 * kPayloadBytes);
    // Copies pin nothing; but an end that is just being taken has its former owner's pins.
    life.may_hold_frames(true);
    life.now(Doing::taking);
    const std::size_t n = subscriber.get_many(bytes, 5, kPatience);
    life.require(n > 0, "hung: no frames came in time");
    for (std::size_t k = 0; k < n; ++k) {
        const auto mark = proven(std::span(bytes).subspan(k * kPayloadBytes, kPayloadBytes));
        if (!mark) life.wrong("torn: a copied frame mixes writes");
        counts.see(*mark);
    }
    life.did(Doing::taking, n);
    return n;
}

// seq never goes back, and what is missing in it is what was lost.
void subscribe(Life& life, const char* name, bool blocks) {
    life.now(Doing::attaching);
    Subscriber subscriber(name);
    Counts counts(life, blocks);
    Hands hands(life);
    std::uint64_t last = 0, lost = 0, copied = 0;
    life.did(Doing::attaching);
    while (!life.one_in(kLeaves)) {
        if (life.one_in(8)) {
            copied += get_many(life, subscriber, counts);
            continue;
        }
        {
            const Frame frame = get(life, subscriber);
            counts.see(hands.take(frame));
            const std::uint64_t lost_now = subscriber.lost() - lost;
            if (last != 0 && frame.seq() != last + copied + lost_now + 1) {
                life.wrong("lost: frame " + std::to_string(frame.seq()) + " came after " +
                           std::to_string(last) + ", " + std::to_string(copied) + " copies and " +
                           std::to_string(lost_now) + " lost");
            }
            if (blocks && subscriber.lost() != 0) {
                life.wrong("lost: a block stream says so itself");
            }
            last = frame.seq();
            lost += lost_now;
            copied = 0;
        }
        life.did(Doing::taking);
        hands.let_go(life.below(3));
    }
    life.now(Doing::leaving);
}

}  // namespace

PublisherOptions stream_options(Overflow overflow) {
    return {
        .shape = {kPayloadBytes}, .dtype = "u1", .slots = 8, .overflow = overflow, .shared = true};
}

void keep_publishing(Life& life, const char* name) {
    life.now(Doing::attaching);
    Voice voice(life, name);
    life.did(Doing::attaching);
    while (!life.one_in(kLeaves)) voice.speak();
    life.now(Doing::leaving);
}

void subscribe_in_order(Life& life) { subscribe(life, kDropName, false); }
void subscribe_block(Life& life) { subscribe(life, kBlockName, true); }

void subscribe_latest(Life& life) {
    life.now(Doing::attaching);
    Subscriber subscriber(kDropName, {.latest = true});
    Hands hands(life);
    std::uint64_t last = 0;
    life.did(Doing::attaching);
    while (!life.one_in(kLeaves)) {
        if (life.one_in(64)) {  // a bell, which a publisher rings
            pollfd news{subscriber.fileno(), POLLIN, 0};
            (void)poll(&news, 1, 2);
        }
        {
            const Frame frame = get(life, subscriber);
            (void)hands.take(frame);
            life.require(frame.seq() > last, "a number went back");
            last = frame.seq();
        }
        life.did(Doing::taking);
        hands.let_go(life.below(3));
    }
    life.now(Doing::leaving);
}

}  // namespace ndshare::soak
