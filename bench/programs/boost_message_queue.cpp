// How fast do small payloads go one way through Boost.Interprocess's message_queue?
#include <boost/interprocess/ipc/message_queue.hpp>

#include "support/one_way.h"

namespace {

using boost::interprocess::message_queue;
constexpr std::size_t kMessages = 64;

void first(bench::Side& side) {
    const std::string name = side.name("boost");
    const std::size_t bytes = bench::payload_bytes(side.options());
    message_queue queue(boost::interprocess::create_only, name.c_str(), kMessages, bytes);
    try {
        side.meet();  // it is there
        bench::Small small{};
        bench::take_payloads(side, [&](auto look) {
            message_queue::size_type received = 0;
            unsigned priority = 0;
            queue.receive(small.data(), bytes, received, priority);
            look(small.data());
        });
        side.meet();
    } catch (...) {
        message_queue::remove(name.c_str());
        throw;
    }
    message_queue::remove(name.c_str());
}

void second(bench::Side& side) {
    side.meet();
    message_queue queue(boost::interprocess::open_only, side.name("boost").c_str());
    const std::size_t bytes = bench::payload_bytes(side.options());
    bench::give(side, [&](const std::uint64_t* words) { queue.send(words, bytes, 0); });
    side.meet();
}

}  // namespace

int main(int argc, char** argv) {
    return bench::run_pair(argc, argv, {"--bytes"}, 0, first, second);
}
