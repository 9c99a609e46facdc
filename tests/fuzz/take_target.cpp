// A stream's words, ring, slots, ends and frames, overwritten between the steps of those who use
// it.
#include <optional>

#include "fuzz/frames.h"
#include "fuzz/memory.h"
#include "fuzz/targets.h"
#include "layout/stream.h"
#include "ndshare/registry.hpp"

namespace ndshare::fuzz {
namespace {

constexpr std::size_t kFramesKept = 3;

struct Stream {
    Stream(std::string name, Overflow overflow, bool variable)
        : options(wishes(overflow, variable)), memory(begun(std::move(name))) {
        const auto& d = memory.descriptor();
        const auto places = layout::stream_places(d.slot_count);
        const std::uint64_t own = memory.own_words();
        const std::uint64_t slot = d.itemsize_bytes;
        areas = {{d.control_offset_bytes, sizeof(layout::ControlWords)},
                 {d.control_offset_bytes + layout::kRowsOffset, 4 * sizeof(layout::Row)},
                 {d.control_offset_bytes + layout::kBellsOffset, 2 * sizeof(layout::Bell)},
                 {own, places.slots_offset},
                 {own, places.slots_offset},
                 {own + places.slots_offset, d.slot_count * sizeof(layout::SlotLine)},
                 {own + places.slots_offset, d.slot_count * sizeof(layout::SlotLine)},
                 {own + places.ends_offset, 6 * places.end_bytes},
                 // Extents lie before the attributes, at the end of a slot.
                 {d.data_offset_bytes + slot - layout::kFrameAttrsBytes - 64, 128},
                 {d.data_offset_bytes + 2 * slot - layout::kFrameAttrsBytes - 64, 128}};
    }
    static PublisherOptions wishes(Overflow overflow, bool variable) {
        PublisherOptions options;
        options.fields = {{"image", Spec{.shape = {6, 8}, .dtype = Dtype(std::string_view("u1"))}}};
        if (variable) {
            options.fields.push_back(
                {"boxes",
                 Spec{.shape = {}, .dtype = Dtype(std::string_view("f4")), .maxshape = {4, 6}}});
        }
        options.slots = 4;
        options.overflow = overflow;
        options.shared = true;
        options.attrs_json = "{\"a\": 1}";
        options.spin = Timeout(0);
        return options;
    }
    std::string begun(std::string name) const {
        (void)own_folder();
        Publisher publisher(name, options);
        for (int k = 0; k < 6; ++k) {
            auto loan = publisher.loan(Timeout(0));
            if (!loan) break;
            loan->attrs_json("{\"frame\": 1}");
            (void)loan->publish();
        }
        kept_.emplace(name, SubscriberOptions{.spin = Timeout(0)});
        return name;
    }
    PublisherOptions options;
    mutable std::optional<Subscriber> kept_;  // until the memory is held
    Memory memory;
    std::vector<Area> areas;
};

// Everybody who uses a stream in one run.
struct Cast {
    std::optional<Publisher> publisher;
    std::optional<Subscriber> in_order, latest;
    std::optional<Loan> loan;
    std::vector<Frame> frames;
    std::optional<FrameRef> ref;
};

std::string keep(Cast& cast, std::optional<Frame> frame) {
    if (!frame) return {};
    std::string wrong = wrong_frame(*frame);
    cast.ref = frame->ref();
    if (cast.frames.size() == kFramesKept) cast.frames.erase(cast.frames.begin());
    cast.frames.push_back(std::move(*frame));
    return wrong;
}

void put(Cast& cast, Script& script) {
    if (!cast.loan) cast.loan = cast.publisher->loan(Timeout(0));
    if (!cast.loan) return;
    for (std::size_t k = 0; k < cast.loan->field_count(); ++k) {
        const FieldView view = cast.loan->field(k);
        for (std::size_t at = 0; at < view.nbytes; ++at) {
            const_cast<std::byte*>(view.data)[at] = std::byte{7};
        }
    }
    const std::uint8_t how = script.byte();
    if ((how & 1) != 0) cast.loan->attrs_json("{\"b\": [1, 2]}");
    if ((how & 2) != 0 && cast.loan->field_count() > 1) {
        cast.loan->resize({how >> 6, how >> 5 & 3}, "boxes");
    }
    if ((how & 4) != 0) return;  // kept
    if ((how & 8) == 0) (void)cast.loan->publish();
    cast.loan.reset();
}

void look_around(Cast& cast, const std::string& name, bool all) {
    const Info one = info(name);
    for (const auto& end : one.ends) {
        if (end.pinned > layout::kSlotsMax) throw std::logic_error("more pins than slots");
    }
    if (all) (void)ls("*");  // its cost is that of all names
    if (cast.in_order) {
        (void)cast.in_order->lag();
        (void)cast.in_order->publisher_count();
        (void)cast.in_order->attrs_json();
    }
    if (cast.publisher) {
        (void)cast.publisher->subscriber_count();
        (void)cast.publisher->wait_subscribers(1, Timeout(0));
        (void)cast.publisher->blocked_by();
        cast.publisher->update_attrs([](std::string_view) { return std::string("{\"c\": 2}"); });
    }
}

std::string step(Cast& cast, Script& script, const Stream& stream) {
    const std::string& name = stream.memory.name();
    const auto reader = [&](bool latest) -> Subscriber& {
        auto& one = latest ? cast.latest : cast.in_order;
        if (!one) one.emplace(name, SubscriberOptions{.latest = latest, .spin = Timeout(0)});
        return *one;
    };
    switch (script.below(16)) {
        default:
            stream.memory.poke(script, stream.areas);
            return {};
        case 6:
        case 7:
            if (!cast.publisher) cast.publisher.emplace(name, stream.options);
            put(cast, script);
            return {};
        case 8:
        case 9:
            return keep(cast, reader(false).get(Timeout(0)));
        case 10:
            return keep(cast, reader(true).get(Timeout(0)));
        case 11: {
            std::byte copies[3 * 48];
            const std::size_t got = reader(false).get_many(copies, 3, Timeout(0));
            return got <= 3 ? "" : "more frames than asked for";
        }
        case 12:
            return cast.ref ? keep(cast, cast.ref->get()) : "";
        case 13:
            look_around(cast, name, script.below(8) == 0);
            return {};
        case 14:
            cast.frames.clear();
            if (script.below(2) == 0) cast.in_order.reset();
            return {};
        case 15:
            if (script.below(4) == 0 && cast.publisher) cast.publisher->end();
            if (script.below(4) == 0) cast.publisher.reset();
            if (script.below(4) == 0) (void)reader(false).fileno();
            return {};
    }
}

}  // namespace

std::string check_take(std::string_view input) {
    static const Stream streams[] = {{"kept", Overflow::drop_oldest, true},
                                     {"lossless", Overflow::block, true},
                                     {"fixed", Overflow::drop_oldest, false}};
    Script script(input);
    const Stream& stream = streams[script.below(std::size(streams))];
    std::string wrong;
    {
        Cast cast;
        while (wrong.empty() && script.next()) {
            try {
                wrong = step(cast, script, stream);
            } catch (const Error&) {
                // What damaged memory is to end as.
            } catch (const std::exception& e) {
                wrong = std::string("another exception than Error: ") + e.what();
            }
        }
    }
    stream.memory.restore();
    return wrong;
}

std::vector<std::string> take_seeds() {
    std::vector<std::string> seeds;
    for (char which = 0; which < 3; ++which) {
        seeds.push_back(std::string{which} + std::string("\x08\x08\x0a\x0c\x0d", 5));
        seeds.push_back(std::string{which} + std::string("\x08\x06\x00\x08\x0a\x06\x03\x08", 8));
        seeds.push_back(std::string{which} + std::string("\x0b\x06\x04\x06\x00\x0b\x0e\x00", 8));
        // A slot's word, then a look; a ring's entry, then a look.
        seeds.push_back(std::string{which} +
                        std::string("\x08\x00\x05\x00\x01\x02\x10\x08\x0a\x06\x00", 11));
        seeds.push_back(std::string{which} +
                        std::string("\x00\x03\x02\x01\x03\x02\x08\x08\x06\x00\x0d", 11));
    }
    return seeds;
}

}  // namespace ndshare::fuzz
