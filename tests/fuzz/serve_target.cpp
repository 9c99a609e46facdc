// A service's states, lines, ends, extents and errors, overwritten between the steps of its worker
// and its client.
#include <optional>

#include "api/book.h"
#include "fuzz/frames.h"
#include "fuzz/memory.h"
#include "fuzz/targets.h"
#include "layout/service.h"
#include "ndshare/registry.hpp"
#include "ndshare/service.hpp"

namespace ndshare::fuzz {
namespace {

constexpr std::size_t kCallsKept = 3;

struct Service {
    explicit Service(std::string name) : memory(begun(std::move(name))) {
        const auto& d = memory.descriptor();
        const auto places = layout::service_places(d.slot_count);
        const std::uint64_t own = memory.own_words();
        const std::uint64_t states = d.slot_count * sizeof(layout::Word64);
        const std::uint64_t lines = d.slot_count * sizeof(layout::RequestLine);
        const auto pool = layout::plan_service_of(service_text_, d.slot_count);
        const std::uint64_t extras =
            pool.error_offset_bytes - pool.extras_stride_bytes + layout::kErrorBytes;
        areas = {{d.control_offset_bytes, sizeof(layout::ControlWords)},
                 {d.control_offset_bytes + layout::kRowsOffset, 4 * sizeof(layout::Row)},
                 {own, sizeof(layout::ServiceWords)},
                 {own + places.states_offset, states},
                 {own + places.states_offset, states},
                 {own + places.lines_offset, lines},
                 {own + places.lines_offset, lines},
                 {own + places.ends_offset, 6 * sizeof(layout::End)},
                 {own + places.workers_offset, 2 * sizeof(layout::WorkerLine)}};
        for (std::size_t slot = 0; slot < d.slot_count; ++slot) {
            areas.push_back({d.data_offset_bytes + extras + slot * pool.extras_stride_bytes, 64});
        }
    }
    static Fields inputs() {
        return {{"image", Spec{.shape = {6, 8}, .dtype = Dtype(std::string_view("u1"))}},
                {"points",
                 Spec{.shape = {}, .dtype = Dtype(std::string_view("f4")), .maxshape = {4, 3}}}};
    }
    static Fields outputs() {
        return {{"boxes",
                 Spec{.shape = {}, .dtype = Dtype(std::string_view("f4")), .maxshape = {4, 6}}},
                {"score", Spec{.shape = {}, .dtype = Dtype(std::string_view("f8"))}}};
    }
    static WorkerOptions wishes() {
        WorkerOptions options;
        options.slots = 4;
        options.spin = Timeout(0);
        return options;
    }
    std::string begun(std::string name) {
        (void)own_folder();
        kept_.emplace(name, inputs(), outputs(), wishes());
        const auto found = api::find(api::full_name_of(name));
        service_text_ = found->description.dtype;
        return name;
    }
    std::optional<Worker> kept_;  // until the memory is held
    std::string service_text_;
    Memory memory;
    std::vector<Area> areas;
};

struct Cast {
    std::optional<Worker> worker;
    std::optional<Client> client;
    std::vector<Call> calls;
    std::vector<Batch> batches;
    std::vector<Frame> answers;
};

Worker& worker_of(Cast& cast, const Service& service) {
    if (!cast.worker) {
        cast.worker.emplace(service.memory.name(), Service::inputs(), Service::outputs(),
                            Service::wishes());
    }
    return *cast.worker;
}

void ask(Cast& cast, Script& script, const Service& service) {
    if (!cast.client) {
        cast.client.emplace(service.memory.name(), ClientOptions{.spin = Timeout(0)});
    }
    Call call = cast.client->loan(Timeout(0));
    const std::uint8_t how = script.byte();
    if ((how & 1) != 0) call.resize({how >> 6, how >> 4 & 3}, "points");
    for (std::size_t k = 0; k < call.input_count(); ++k) {
        const FieldView view = call.input_at(k);
        for (std::size_t at = 0; at < view.nbytes; ++at) {
            const_cast<std::byte*>(view.data)[at] = std::byte{3};
        }
    }
    if ((how & 2) != 0) return call.discard();
    call.submit((how & 4) != 0 ? Timeout(1'000'000'000) : forever);
    if ((how & 8) != 0) return;  // abandoned
    if (cast.calls.size() == kCallsKept) cast.calls.erase(cast.calls.begin());
    cast.calls.push_back(std::move(call));
}

std::string take(Cast& cast, Script& script, const Service& service) {
    auto batch = worker_of(cast, service)
                     .get({.max_batch_size = 1 + static_cast<int>(script.below(4))}, Timeout(0));
    if (!batch) return {};
    std::string wrong;
    for (std::size_t k = 0; wrong.empty() && k < batch->input_count(); ++k) {
        wrong = wrong_field(batch->input_at(k), batch->size());
    }
    cast.batches.push_back(std::move(*batch));
    if (cast.batches.size() > kCallsKept) cast.batches.erase(cast.batches.begin());
    return wrong;
}

void answer(Cast& cast, Script& script) {
    if (cast.batches.empty()) return;
    Batch batch = std::move(cast.batches.back());
    cast.batches.pop_back();
    const std::uint8_t how = script.byte();
    if ((how & 1) != 0 && batch.size() > 1) {
        Batch one = batch[0];
        one.resize({1, 2}, "boxes");
        one.reply();
    }
    if ((how & 6) == 6) return;  // dropped: another worker's
    if ((how & 6) == 4) return batch.fail(how > 128 ? std::string(5000, 'x') : "no");
    batch.resize({how >> 6, how >> 4 & 3}, "boxes");
    for (std::size_t k = 0; k < batch.output_count(); ++k) {
        const FieldView view = batch.output_at(k);
        for (std::size_t at = 0; at < view.nbytes; ++at) {
            const_cast<std::byte*>(view.data)[at] = std::byte{5};
        }
    }
    batch.reply();
}

std::string collect(Cast& cast, Script& script) {
    if (cast.calls.empty()) return {};
    Call& call = cast.calls.back();
    const std::uint8_t how = script.byte();
    if ((how & 1) != 0) (void)call.done();
    if ((how & 2) != 0) (void)call.wait(Timeout(0));
    if ((how & 12) == 12) (void)call.cancel();
    if ((how & 16) != 0) {
        cast.calls.pop_back();
        return {};
    }
    const Frame frame = call.result(Timeout(0));
    const std::string wrong = wrong_frame(frame);
    cast.answers.push_back(frame);
    if (cast.answers.size() > kCallsKept) cast.answers.erase(cast.answers.begin());
    return wrong;
}

void look_around(Cast& cast, const std::string& name, bool all) {
    (void)info(name);
    if (all) (void)ls("*");  // its cost is that of all names
    if (cast.client) {
        (void)cast.client->worker_count();
        (void)cast.client->attrs_json();
        (void)cast.client->inputs();
    }
    if (cast.worker) {
        (void)cast.worker->client_count();
        (void)cast.worker->worker_count();
        cast.worker->update_attrs([](std::string_view) { return std::string("{\"c\": 2}"); });
    }
}

std::string step(Cast& cast, Script& script, const Service& service) {
    switch (script.below(16)) {
        default:
            service.memory.poke(script, service.areas);
            return {};
        case 6:
        case 7:
            ask(cast, script, service);
            return {};
        case 8:
        case 9:
            return take(cast, script, service);
        case 10:
            answer(cast, script);
            return {};
        case 11:
        case 12:
            return collect(cast, script);
        case 13:
            look_around(cast, service.memory.name(), script.below(8) == 0);
            return {};
        case 14:
            cast.answers.clear();
            if (script.below(2) == 0) cast.calls.clear();
            if (script.below(2) == 0) cast.batches.clear();
            return {};
        case 15:
            if (script.below(3) == 0) cast.client.reset();
            if (script.below(3) == 0) cast.worker.reset();
            if (!cast.calls.empty() && script.below(3) == 0) (void)cast.calls.back().fileno();
            return {};
    }
}

}  // namespace

std::string check_serve(std::string_view input) {
    static Service service("detector");
    service.kept_.reset();
    Script script(input);
    std::string wrong;
    {
        Cast cast;
        while (wrong.empty() && script.next()) {
            try {
                wrong = step(cast, script, service);
            } catch (const Error&) {
                // What damaged memory is to end as.
            } catch (const std::exception& e) {
                wrong = std::string("another exception than Error: ") + e.what();
            }
        }
    }
    service.memory.restore();
    return wrong;
}

std::vector<std::string> serve_seeds() {
    return {std::string("\x06\x00\x08\x00\x0a\x00\x0b\x00\x0d", 9),
            std::string("\x06\x51\x06\x51\x08\x03\x0a\x50\x0b\x00\x0b\x10\x0b\x00", 14),
            std::string("\x06\x00\x08\x00\x0a\x04\x0b\x00\x0d", 9),
            std::string("\x06\x00\x08\x00\x0a\x06\x08\x00\x0a\x06\x0b\x03", 12),
            std::string("\x06\x08\x08\x00\x0a\x00\x06\x04\x0b\x0e\x0e\x00\x00", 13),
            std::string("\x06\x01\x00\x03\x00\x01\x02\x05\x08\x00\x0a\x00\x0b\x00", 14),
            std::string("\x06\x01\x06\x01\x00\x09\x00\x01\x01\x03\x08\x03\x0a\x00\x0b\x00", 16)};
}

}  // namespace ndshare::fuzz
