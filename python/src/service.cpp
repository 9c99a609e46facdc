#include "service.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <algorithm>
#include <vector>

#include "frames.h"
#include "ndshare/ndshare.hpp"
#include "numpy.h"

namespace ndshare::python {
namespace {

// ndshare.Batch and ndshare.Call, Python subclasses of what is bound here: made without __init__.
nb::handle g_batch_type, g_call_type;

template <class T, class... Args>
nb::object make_as(nb::handle type, Args&&... args) {
    nb::object made = nb::inst_alloc(type);
    new (nb::inst_ptr<T>(made)) T(std::forward<Args>(args)...);
    nb::inst_mark_ready(made);
    return made;
}

Spec with_shape(const Spec& spec, std::span<const std::int64_t> shape) {
    Spec out = spec;
    out.shape.assign(shape.begin(), shape.end());
    out.maxshape.clear();
    return out;
}

// Copies value, whose dtype is the field's by now, to where the field lies.
void copy_to(const FieldView& field, nb::handle value) {
    std::optional<nb::gil_scoped_release> released;
    const std::byte* from = data_of(value);
    if (field.nbytes >= kReleaseGilBytes) released.emplace();
    std::memcpy(const_cast<std::byte*>(field.data), from, field.nbytes);
}

bool is_same_shape(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// ---- Batch --------------------------------------------------------------------------------------

struct PyBatch {
    PyBatch(Batch taken, std::string_view service)
        : batch(std::move(taken)), name(service), output_views(batch.output_count()) {}
    Batch batch;
    std::string name;
    nb::object inputs_dict, outputs_dict;
    std::vector<nb::object> output_views, former;

    nb::object input(std::size_t k) const {
        const FieldView field = batch.input_at(k);
        nb::object view =
            make_loan_view(field, std::const_pointer_cast<std::byte>(batch.memory(field.data)));
        make_readonly(view);
        return view;
    }
    nb::object inputs() {
        if (inputs_dict.is_valid()) return inputs_dict;
        nb::dict out;
        for (std::size_t k = 0; k < batch.input_count(); ++k) {
            const auto label = batch.input_name(k);
            out[nb::str(label.data(), label.size())] = input(k);
        }
        inputs_dict = out;
        return inputs_dict;
    }
    nb::object output(std::size_t k) {
        if (!output_views[k].is_valid()) {
            const FieldView field = batch.output_at(k);
            output_views[k] =
                make_loan_view(field, std::const_pointer_cast<std::byte>(batch.memory(field.data)));
            if (!batch.is_open()) make_readonly(output_views[k]);
        }
        return output_views[k];
    }
    nb::object outputs() {
        if (outputs_dict.is_valid()) return outputs_dict;
        nb::dict out;
        for (std::size_t k = 0; k < batch.output_count(); ++k) {
            const auto label = batch.output_name(k);
            out[nb::str(label.data(), label.size())] = output(k);
        }
        outputs_dict = out;
        return outputs_dict;
    }
    std::size_t index_of_output(std::string_view field) const {
        if (field.empty() && batch.output_count() == 1) return 0;
        for (std::size_t k = 0; k < batch.output_count(); ++k) {
            if (batch.output_name(k) == field) return k;
        }
        throw Error(Errc::invalid_argument, "reply", name,
                    field.empty() ? "it has several outputs: name one"
                                  : "it has no output \"" + std::string(field) + "\"");
    }
    nb::object resize(const Shape& shape, std::string_view field) {
        const std::size_t k = index_of_output(field);
        batch.resize(shape, batch.output_name(k));
        if (output_views[k].is_valid()) former.push_back(std::move(output_views[k]));
        output_views[k] = nb::object();
        outputs_dict = nb::object();
        return output(k);
    }
    // value: (n, *shape).
    void assign(std::string_view field, nb::handle value) {
        const std::size_t k = index_of_output(field);
        FieldView view = batch.output_at(k);
        nb::object given = named("reply", name, [&] { return as_field(value, *view.spec); });
        const auto shape = shape_of(given);
        if (!is_same_shape(shape, view.shape)) {
            const bool rows = !shape.empty() && shape[0] == view.shape[0];
            if (rows && !view.spec->maxshape.empty()) {
                resize(Shape(shape.begin() + 1, shape.end()), batch.output_name(k));
                view = batch.output_at(k);
            } else {
                throw SpecMismatch("reply", name + "/" + std::string(batch.output_name(k)),
                                   with_shape(*view.spec, view.shape),
                                   with_shape(*view.spec, shape));
            }
        }
        copy_to(view, given);
    }
    void end_views() {
        for (auto* list : {&output_views, &former}) {
            for (const nb::object& view : *list) {
                if (view.is_valid()) make_readonly(view);
            }
        }
    }
    void reply() {
        end_views();
        batch.reply();
    }
    void fail(std::string_view text) {
        end_views();
        batch.fail(text);
    }
};

// ---- Worker -------------------------------------------------------------------------------------

struct PyWorker {
    std::optional<Worker> worker;
    Worker& get() {
        if (!worker) throw nb::value_error("this worker was never made");
        return *worker;
    }
    void close() {
        if (!worker) return;
        const nb::gil_scoped_release released;
        worker->close();
    }
};

Fields fields_from(nb::handle list) {
    Fields fields;
    for (const nb::handle item : nb::borrow<nb::list>(list)) {
        const auto pair = nb::cast<nb::tuple>(item);
        fields.emplace_back(nb::cast<std::string>(pair[0]), spec_from(pair[1]));
    }
    return fields;
}

void init_worker(PyWorker* self, std::string_view name, nb::object inputs, nb::object outputs,
                 int slots, int retries, const std::string& attrs_json, bool persistent,
                 unsigned permissions, const std::string& group, nb::object spin,
                 const std::string& full_name) {
    WorkerOptions options;
    options.slots = slots;
    options.retries = retries;
    options.attrs_json = attrs_json;
    options.sharing = {persistent, permissions, group};
    options.spin = to_spin(spin, "work", name);
    options.full_name = full_name;
    std::optional<Worker> made;
    if (inputs.is_none()) {
        const nb::gil_scoped_release released;
        made.emplace(name, options);
    } else {
        const Fields in = fields_from(inputs), out = fields_from(outputs);
        const nb::gil_scoped_release released;
        made.emplace(name, in, out, options);
    }
    new (self) PyWorker{std::move(made)};
}

nb::object take_batch(PyWorker& self, int max_batch_size, double max_delay, nb::object timeout) {
    Worker& worker = self.get();
    BatchOptions options;
    options.max_batch_size = max_batch_size;
    options.max_delay =
        std::chrono::duration_cast<Timeout>(std::chrono::duration<double>(max_delay));
    auto batch = worker.get(options, to_timeout(timeout, "get", worker.name()));
    if (!batch) return nb::none();
    return make_as<PyBatch>(g_batch_type, std::move(*batch), worker.name());
}

// ---- Call ---------------------------------------------------------------------------------------

struct PyCall {
    explicit PyCall(Call made) : call(std::move(made)), views(call.input_count()) {}
    Call call;
    std::vector<nb::object> views, former;

    std::size_t index_of(std::string_view field) {
        if (field.empty()) return the_only_field("input", call.name(), call.input_count());
        std::string known;
        for (std::size_t k = 0; k < call.input_count(); ++k) {
            if (call.input_name(k) == field) return k;
            known += (known.empty() ? "" : ", ") + std::string(call.input_name(k));
        }
        throw Error(Errc::invalid_argument, "input", std::string(call.name()),
                    "it has no input \"" + std::string(field) + "\"; its inputs are " + known);
    }
    nb::object view(std::size_t k) {
        const FieldView field = call.input_at(k);  // Closed when it was submitted
        if (!views[k].is_valid()) views[k] = make_loan_view(field, call.memory(k));
        return views[k];
    }
    nb::object item(std::string_view field) { return view(index_of(field)); }
    nb::object array() { return view(index_of("")); }
    nb::object resize(const Shape& shape, std::string_view field) {
        const std::size_t k = index_of(field);
        call.resize(shape, call.input_name(k));
        if (views[k].is_valid()) former.push_back(std::move(views[k]));
        views[k] = nb::object();
        return view(k);
    }
    void assign(std::size_t k, nb::handle value) {
        const FieldView before = call.input_at(k);
        const std::string name(call.name());
        nb::object given = named("call", name, [&] { return as_field(value, *before.spec); });
        const auto shape = shape_of(given);
        if (!is_same_shape(shape, before.shape)) {
            if (before.spec->maxshape.empty()) {
                throw SpecMismatch("call", name + "/" + std::string(call.input_name(k)),
                                   *before.spec, with_shape(*before.spec, shape));
            }
            resize(Shape(shape.begin(), shape.end()), call.input_name(k));
        }
        copy_to(call.input_at(k), given);
    }
    void assign_item(std::string_view field, nb::handle value) { assign(index_of(field), value); }
    void fill(nb::handle value) {
        if (PyDict_Check(value.ptr())) {
            const auto given = nb::borrow<nb::dict>(value);
            for (const auto [key, one] : given) assign_item(nb::cast<std::string>(key), one);
            for (std::size_t k = 0; k < call.input_count(); ++k) {
                const std::string field(call.input_name(k));
                if (given.contains(field.c_str())) continue;
                throw Error(Errc::invalid_argument, "call", std::string(call.name()),
                            "the input \"" + field + "\" is missing");
            }
            return;
        }
        if (call.input_count() != 1) {
            throw Error(Errc::invalid_argument, "call", std::string(call.name()),
                        "it has several inputs: give a mapping, {\"name\": array, ...}");
        }
        assign(0, value);
    }
    void end_views() {
        for (auto* list : {&views, &former}) {
            for (const nb::object& view : *list) {
                if (view.is_valid()) make_readonly(view);
            }
            list->clear();
        }
        views.resize(call.input_count());
    }
    void submit(nb::object timeout) {
        const Timeout limit = to_timeout(timeout, "call", call.name());
        end_views();
        call.submit(limit);
    }
    void discard() {
        end_views();
        call.discard();
    }
};

// Arrays of the caller's own.
nb::object own_values(const Frame& frame) {
    const auto copy = [&](std::size_t k) {
        const FieldView field = frame.field(k);
        nb::object out = make_empty(*field.spec, field.shape);
        {
            std::byte* to = data_of(out);
            std::optional<nb::gil_scoped_release> released;
            if (field.nbytes >= kReleaseGilBytes) released.emplace();
            std::memcpy(to, field.data, field.nbytes);
        }
        return out;
    };
    if (frame.field_count() == 1) return copy(0);
    nb::dict out;
    for (std::size_t k = 0; k < frame.field_count(); ++k) {
        const auto label = frame.field_name(k);
        out[nb::str(label.data(), label.size())] = copy(k);
    }
    return out;
}

nb::object result_of(Call& call, nb::object timeout) {
    return own_values(call.result(to_timeout(timeout, "call", call.name())));
}

// ---- Client -------------------------------------------------------------------------------------

struct PyClient {
    std::optional<Client> client;
    Client& get() {
        if (!client) throw nb::value_error("this client was never made");
        return *client;
    }
    void close() {
        if (!client) return;
        const nb::gil_scoped_release released;
        client->close();
    }
};

// What is left of timeout after a slot was waited for.
class TimeLeft {
 public:
    explicit TimeLeft(Timeout timeout) : timeout_(timeout) {}
    Timeout now() const {
        if (timeout_ == forever) return forever;
        return std::max(timeout_ - (std::chrono::steady_clock::now() - began_), Timeout(0));
    }

 private:
    const Timeout timeout_;
    const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

PyCall begin(PyClient& self, nb::handle value, const TimeLeft& left) {
    PyCall call(self.get().loan(left.now()));
    call.fill(value);
    call.end_views();
    call.call.submit(left.now());
    return call;
}

}  // namespace

std::optional<Waitable> waitable_call(nb::handle object) {
    if (!nb::isinstance<PyCall>(object)) return std::nullopt;
    return Waitable(nb::cast<PyCall&>(object).call);
}

void init_service(nb::module_& m) {
    nb::class_<PyBatch>(m, "BatchHandle", nb::is_weak_referenceable())
        .def_prop_ro("inputs", &PyBatch::inputs)
        .def_prop_ro("outputs", &PyBatch::outputs)
        .def_prop_ro("_name", [](PyBatch& b) { return b.name; })
        .def_prop_ro("_open", [](PyBatch& b) { return b.batch.is_open(); })
        .def_prop_ro(
            "gathered", [](PyBatch& b) { return b.batch.is_gathered(); },
            "Its inputs had to be copied together: they were not neighbours.")
        .def("__len__", [](PyBatch& b) { return b.batch.size(); })
        .def("_slice",
             [](PyBatch& b, std::size_t begin, std::size_t count) {
                 return make_as<PyBatch>(g_batch_type, b.batch.slice(begin, count), b.name);
             })
        .def(
            "_resize",
            [](PyBatch& b, nb::tuple shape, std::string_view field) {
                return b.resize(to_shape(shape), field);
            },
            nb::arg("shape"), nb::arg("field"))
        .def("_assign", &PyBatch::assign, nb::arg("field"), nb::arg("value"))
        .def("_reply", &PyBatch::reply)
        .def("_fail", &PyBatch::fail, nb::arg("text"));

    nb::class_<PyWorker>(m, "WorkerHandle", nb::is_weak_referenceable(), nb::dynamic_attr())
        .def("__init__", &init_worker, nb::arg("name"), nb::arg("inputs").none(),
             nb::arg("outputs").none(), nb::arg("slots"), nb::arg("retries"), nb::arg("attrs_json"),
             nb::arg("persistent"), nb::arg("permissions"), nb::arg("group"),
             nb::arg("spin").none(), nb::arg("full_name"))
        .def_prop_ro("name", [](PyWorker& w) { return w.get().name(); })
        .def_prop_ro("_full_name", [](PyWorker& w) { return w.get().full_name(); })
        .def_prop_ro("closed", [](PyWorker& w) { return w.get().closed(); })
        .def_prop_ro("inputs", [](PyWorker& w) { return from_fields(w.get().inputs(), false); })
        .def_prop_ro("outputs", [](PyWorker& w) { return from_fields(w.get().outputs(), false); })
        .def_prop_ro("slots", [](PyWorker& w) { return w.get().slots(); })
        .def_prop_ro("generation", [](PyWorker& w) { return w.get().generation(); })
        .def_prop_ro("nbytes", [](PyWorker& w) { return w.get().nbytes(); })
        .def_prop_ro("client_count", [](PyWorker& w) { return w.get().client_count(); })
        .def_prop_ro("worker_count", [](PyWorker& w) { return w.get().worker_count(); })
        .def("_get", &take_batch, nb::arg("max_batch_size"), nb::arg("max_delay"),
             nb::arg("timeout").none())
        .def("close", &PyWorker::close)
        .def("_attrs_json", [](PyWorker& w) { return w.get().attrs_json(); })
        .def("_update_attrs", [](PyWorker& w, nb::callable change) {
            w.get().update_attrs([&](std::string_view old_text) {
                const nb::gil_scoped_acquire gil;
                return nb::cast<std::string>(change(nb::str(old_text.data(), old_text.size())));
            });
        });

    nb::class_<PyCall>(m, "CallHandle", nb::is_weak_referenceable(), nb::dynamic_attr())
        .def_prop_ro("array", &PyCall::array)
        .def("__getitem__", &PyCall::item, nb::arg("field"))
        .def("__setitem__", &PyCall::assign_item, nb::arg("field"), nb::arg("value").none())
        .def(
            "_resize",
            [](PyCall& c, nb::tuple shape, std::string_view field) {
                return c.resize(to_shape(shape), field);
            },
            nb::arg("shape"), nb::arg("field"))
        .def("_submit", &PyCall::submit, nb::arg("timeout").none())
        .def("discard", &PyCall::discard, "Nothing is asked. Of a loaned call.")
        .def_prop_ro("_name", [](PyCall& c) { return c.call.name(); })
        .def_prop_ro("_loaned", [](PyCall& c) { return c.call.is_loaned(); })
        .def(
            "_result", [](PyCall& c, nb::object timeout) { return result_of(c.call, timeout); },
            nb::arg("timeout").none())
        .def(
            "frame",
            [](PyCall& c, nb::object timeout) {
                return make_frame(c.call.result(to_timeout(timeout, "call", c.call.name())));
            },
            nb::arg("timeout").none() = nb::none(),
            "The answer as a Frame: read-only views of the slot, which stays taken until the last\n"
            "of them is gone. Beyond half of this client's share of the slots it is a copy.")
        .def(
            "done", [](PyCall& c) { return c.call.done(); },
            "result() would not wait: there is an answer, an error, or the deadline has passed.")
        .def(
            "cancel", [](PyCall& c) { return c.call.cancel(); },
            "Nobody waits for it any more. False: it was over already.")
        .def_prop_ro("cancelled", [](PyCall& c) { return c.call.cancelled(); })
        .def("fileno", [](PyCall& c) { return c.call.fileno(); });

    nb::class_<PyClient>(m, "ClientHandle", nb::is_weak_referenceable(), nb::dynamic_attr())
        .def(
            "__init__",
            [](PyClient* self, std::string_view name, nb::object spin,
               const std::string& full_name) {
                ClientOptions options{to_spin(spin, "connect", name), full_name};
                std::optional<Client> made;
                {
                    const nb::gil_scoped_release released;
                    made.emplace(name, options);
                }
                new (self) PyClient{std::move(made)};
            },
            nb::arg("name"), nb::arg("spin").none(), nb::arg("full_name"))
        .def_prop_ro("name", [](PyClient& c) { return c.get().name(); })
        .def_prop_ro("_full_name", [](PyClient& c) { return c.get().full_name(); })
        .def_prop_ro("closed", [](PyClient& c) { return c.get().closed(); })
        .def_prop_ro("worker_count", [](PyClient& c) { return c.get().worker_count(); })
        .def_prop_ro("inputs",
                     [](PyClient& c) -> nb::object {
                         const auto fields = c.get().inputs();
                         return fields ? from_fields(*fields, false) : nb::none();
                     })
        .def_prop_ro("outputs",
                     [](PyClient& c) -> nb::object {
                         const auto fields = c.get().outputs();
                         return fields ? from_fields(*fields, false) : nb::none();
                     })
        .def(
            "__call__",
            [](PyClient& c, nb::object value, nb::object timeout) {
                const TimeLeft left(to_timeout(timeout, "call", c.get().name()));
                PyCall call = begin(c, value, left);
                return own_values(call.call.result());
            },
            nb::arg("value"), nb::kw_only(), nb::arg("timeout").none() = nb::none(),
            "Asks and waits: the answer as arrays of the caller's own; one output: the array,\n"
            "several: a dict.\n\nErrors: TimeoutError, NoWorker, WorkerDied, RemoteError, Closed, "
            "SpecMismatch, TypeError, ValueError.")
        .def(
            "_begin",
            [](PyClient& c, nb::object value, nb::object timeout) {
                const TimeLeft left(to_timeout(timeout, "call", c.get().name()));
                return make_as<PyCall>(g_call_type, begin(c, value, left));
            },
            nb::arg("value"), nb::arg("timeout").none())
        .def(
            "_loan",
            [](PyClient& c, nb::object timeout) {
                return make_as<PyCall>(g_call_type,
                                       c.get().loan(to_timeout(timeout, "call", c.get().name())));
            },
            nb::arg("timeout").none())
        .def("close", &PyClient::close)
        .def("_attrs_json", [](PyClient& c) { return c.get().attrs_json(); });

    m.def("set_service_types", [](nb::object batch, nb::object call) {
        g_batch_type = batch.release();
        g_call_type = call.release();
    });
    m.def(
        "service_footprint",
        [](nb::object inputs, nb::object outputs, int slots) {
            return footprint(fields_from(inputs), fields_from(outputs), slots);
        },
        nb::arg("inputs"), nb::arg("outputs"), nb::arg("slots"));
}

}  // namespace ndshare::python
