// Children that hold arrays: writers, readers, and who makes, replaces and removes names.
#include <poll.h>

#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "payload.h"
#include "roles.h"

namespace ndshare::soak {
namespace {

using namespace std::chrono_literals;
using Bytes = std::vector<std::byte>;

Bytes made(const Life& life, std::uint64_t count) {
    Bytes bytes(kPayloadBytes);
    fill(bytes, {life.id(), count});
    return bytes;
}

// The renewed one may be gone with its holders: whoever writes makes it again.
Array attach_to_write(Life& life, std::string_view name) {
    life.now(Doing::attaching);
    Array array =
        name == kArrayNames[0]
            ? Array::open(name, {.writeable = true, .timeout = kPatience})
            : Array::create(name, payload_spec(), std::span<const std::byte>(made(life, 0)),
                            {.existing = Existing::adopt});
    life.did(Doing::attaching);
    return array;
}

Array attach_to_read(Life& life, std::string_view name) {
    life.now(Doing::attaching);
    Array array = Array::open(name, {.expect = payload_spec(), .timeout = kPatience});
    life.did(Doing::attaching);
    return array;
}

void write_in_place(Life& life, Array& array, std::uint64_t count) {
    auto writing = array.write(kPatience, life.one_in(2));
    life.require(writing.has_value(), "a write did not begin in time");
    if (life.one_in(16)) return writing->cancel();
    const std::size_t first = life.below(2);
    fill(writing->bytes(), {life.id(), count}, first, 2);
    if (life.one_in(32)) return;  // left: everybody is told, somebody heals it
    fill(writing->bytes(), {life.id(), count}, 1 - first, 2);
    writing->commit();
}

void write_once(Life& life, Array& array, std::uint64_t count) {
    life.now(Doing::writing);
    if (life.is_canary("no-lock")) {
        fill(array.mutable_bytes(), {life.id(), count});
    } else if (life.one_in(3)) {
        array.assign_bytes(made(life, count), kPatience);
    } else if (life.one_in(12)) {
        array.update_attrs([&](std::string_view) {
            return "{\"n\":" + std::to_string(count % 1000) + ",\"x\":\"" +
                   std::string(count % 1000, 'x') + "\"}";
        });
    } else {
        write_in_place(life, array, count);
    }
    life.did(Doing::writing);
}

void require_attributes(Life& life, const Array& array) {
    const std::string text = array.attrs_json();
    if (text == "{}") return;
    const std::size_t n = std::stoul(text.substr(text.find(':') + 1));
    const auto xs = static_cast<std::size_t>(std::count(text.begin(), text.end(), 'x'));
    if (xs != n + 1) life.wrong("torn attributes: " + text.substr(0, 100));
}

void read_once(Life& life, Array& array, Bytes& copy) {
    const std::uint64_t before = array.version();
    life.now(Doing::reading);
    if (life.one_in(4)) {
        (void)array.wait(2ms);
    } else if (life.one_in(64)) {  // a bell, which a writer rings
        pollfd news{array.fileno(), POLLIN, 0};
        (void)poll(&news, 1, 2);
    }
    const bool done =
        life.one_in(3)
            ? array.read(std::span(copy), kPatience)
            : array.read([&](auto bytes) { std::memcpy(copy.data(), bytes.data(), copy.size()); },
                         kPatience);
    life.require(done, "a read did not end in time");
    if (!proven(copy)) life.wrong("torn: a copy of an array mixes writes");
    life.require(array.version() >= before, "a version went back");
    if (life.one_in(8)) require_attributes(life, array);
    life.did(Doing::reading);
}

bool is_gone(const Error& error) {
    return error.code() == Errc::replaced || error.code() == Errc::not_found;
}

}  // namespace

Spec payload_spec() { return {.shape = {kPayloadBytes}, .dtype = "u1"}; }

void keep_writing(Life& life) {
    const char* name = kArrayNames[life.below(2)];
    Array array = attach_to_write(life, name);
    for (std::uint64_t count = 1; !life.one_in(kLeaves); ++count) {
        try {
            if (life.one_in(200)) array = attach_to_write(life, name);
            write_once(life, array, count);
        } catch (const Error& error) {
            if (error.code() == Errc::incomplete_write) continue;
            if (!is_gone(error)) throw;
            array = attach_to_write(life, name);
        }
    }
    life.now(Doing::leaving);
}

void keep_reading(Life& life) {
    const char* name = kArrayNames[life.below(2)];
    Bytes copy(kPayloadBytes);
    Array array = attach_to_read(life, name);
    while (!life.one_in(kLeaves)) {
        try {
            if (array.replaced() || life.one_in(200)) array = attach_to_read(life, name);
            read_once(life, array, copy);
        } catch (const Error& error) {
            if (error.code() == Errc::incomplete_write) continue;
            if (!is_gone(error)) throw;
            array = attach_to_read(life, name);
        }
    }
    life.now(Doing::leaving);
}

void keep_naming(Life& life) {
    for (std::uint64_t count = 1; !life.one_in(kLeaves / 20); ++count) {
        const std::string own = "own/" + std::to_string(life.below(3));
        life.now(Doing::naming);
        try {
            if (life.one_in(8)) {
                const Bytes bytes = made(life, count);
                auto array = Array::create(kArrayNames[1], payload_spec(), std::span(bytes),
                                           {.existing = Existing::replace});
            } else if (life.one_in(4)) {
                unlink(std::string_view(own));
            } else if (life.one_in(3)) {
                auto array = Array::open(own, {.timeout = 5ms});
                Bytes copy(kPayloadBytes);
                life.require(array.read(std::span(copy), kPatience), "a read did not end");
                life.require(proven(copy).has_value(), "torn: a new array is not whole");
            } else {
                const Bytes bytes = made(life, count);
                auto array = Array::create(own, payload_spec(), std::span(bytes),
                                           {.existing = Existing::adopt});
                if (life.one_in(4)) array.unlink();
            }
        } catch (const Error& error) {
            if (!is_gone(error) && error.code() != Errc::incomplete_write) throw;
        }
        life.did(Doing::naming);
    }
    life.now(Doing::leaving);
}

}  // namespace ndshare::soak
