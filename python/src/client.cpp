// Call and Client.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "calls.h"
#include "ndshare/ndshare.hpp"
#include "service.h"

namespace ndshare::python {
namespace {

// ndshare.Call.
nb::handle g_call_type;

// ---- Call ---------------------------------------------------------------------------------------

struct PyCall {
    explicit PyCall(Call made) : call(std::move(made)), views(call.input_count()) {}
    Call call;
    std::vector<nb::object> views, former;
    nb::object value;               // of the first result(): the same for all
    std::optional<Frame> uncopied;  // there was no memory for a copy of it: the next one tries

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
        nb::object given =
            named("call", name, [&] { return as_field(value, *before.spec); }, call.input_name(k));
        const auto shape = shape_of(given);
        if (!is_same_shape(shape, before.shape)) {
            if (before.spec->maxshape.empty()) {
                throw SpecMismatch("call", name, *before.spec, with_shape(*before.spec, shape),
                                   std::string(call.input_name(k)));
            }
            resize(Shape(shape.begin(), shape.end()), call.input_name(k));
        }
        copy_to(call.input_at(k), given);
    }
    void assign_item(std::string_view field, nb::handle value) { assign(index_of(field), value); }
    void fill(nb::handle value) {
        if (PyDict_Check(value.ptr()) ||
            (PyMapping_Check(value.ptr()) != 0 && nb::hasattr(value, "keys"))) {
            const auto given = nb::borrow<nb::dict>(
                PyDict_Check(value.ptr())
                    ? nb::borrow(value)
                    : nb::object(nb::handle(reinterpret_cast<PyObject*>(&PyDict_Type))(value)));
            for (const auto [key, one] : given) {
                if (PyUnicode_Check(key.ptr()) == 0) {
                    throw nb::type_error(("[call] \"" + std::string(call.name()) +
                                          "\": names of inputs are str, got " +
                                          nb::cast<std::string>(nb::repr(key)))
                                             .c_str());
                }
                assign_item(nb::cast<std::string>(key), one);
            }
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
        // Taken out first: letting go of a view may give the GIL away, and another thread may ask
        // for one meanwhile.
        const auto gone = std::exchange(views, std::vector<nb::object>(call.input_count()));
        const auto gone_before = std::exchange(former, {});
        for (const auto* list : {&gone, &gone_before}) {
            for (const nb::object& view : *list) {
                if (view.is_valid()) make_readonly(view);
            }
        }
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
            std::optional<WithoutGil> released;
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

nb::object result_of(PyCall& self, nb::object timeout) {
    if (self.value.is_valid()) return self.value;
    std::optional<Frame> frame;
    try {
        frame = self.call.result(to_timeout(timeout, "call", self.call.name()));
    } catch (const Error&) {
        if (self.value.is_valid()) return self.value;  // another thread took it meanwhile
        throw;
    }
    nb::object own;
    try {
        own = own_values(*frame);
    } catch (...) {
        self.uncopied = std::move(frame);
        throw;
    }
    self.uncopied.reset();
    if (!self.value.is_valid()) self.value = std::move(own);
    return self.value;
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
        const WithoutGil released;
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

void init_client_side(nb::module_& m) {
    m.def("set_call_type", [](nb::object type) { g_call_type = type.release(); });
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
        .def("_result", &result_of, nb::arg("timeout").none())
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
            [](PyClient* self, std::string_view name, int priority, nb::object spin,
               const std::string& full_name) {
                ClientOptions options{priority, to_spin(spin, "connect", name), full_name};
                std::optional<Client> made;
                {
                    const WithoutGil released;
                    made.emplace(name, options);
                }
                new (self) PyClient{std::move(made)};
            },
            nb::arg("name"), nb::arg("priority"), nb::arg("spin").none(), nb::arg("full_name"))
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
            nb::arg("value").none(), nb::kw_only(), nb::arg("timeout").none() = nb::none(),
            "Asks and waits: the answer as arrays of the caller's own; one output: the array,\n"
            "several: a dict.\n\nErrors: TimeoutError, NoWorker, WorkerDied, RemoteError, Closed, "
            "SpecMismatch, TypeError, ValueError.")
        .def("__call__",
             [](PyClient& c, nb::args, nb::kwargs) -> nb::object {
                 // Whatever the first one does not take.
                 throw nb::type_error(("[call] \"" + std::string(c.get().name()) +
                                       "\": give one value, or a mapping of all inputs, "
                                       "client({\"a\": x, \"b\": y}), and timeout= by name")
                                          .c_str());
             })
        .def(
            "_begin",
            [](PyClient& c, nb::object value, nb::object timeout) {
                const TimeLeft left(to_timeout(timeout, "call", c.get().name()));
                return make_as<PyCall>(g_call_type, begin(c, value, left));
            },
            nb::arg("value").none(), nb::arg("timeout").none())
        .def(
            "_loan",
            [](PyClient& c, nb::object timeout) {
                return make_as<PyCall>(g_call_type,
                                       c.get().loan(to_timeout(timeout, "call", c.get().name())));
            },
            nb::arg("timeout").none())
        .def("close", &PyClient::close, "Gives up its calls that are under way, and its slots.")
        .def("_attrs_json", [](PyClient& c) { return c.get().attrs_json(); });
}

}  // namespace ndshare::python
