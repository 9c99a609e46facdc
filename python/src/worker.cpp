// Batch and Worker.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <vector>

#include "calls.h"
#include "ndshare/ndshare.hpp"
#include "service.h"

namespace ndshare::python {
namespace {

// ndshare.Batch.
nb::handle g_batch_type;

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
    // value: (n, *shape), or of the only call: shape.
    void assign(std::string_view field, nb::handle value, bool of_one) {
        batch.require_open("reply");
        const std::size_t k = index_of_output(field);
        const Spec spec = batch.output_spec(k);
        nb::object given =
            named("reply", name, [&] { return as_field(value, spec); }, batch.output_name(k));
        auto shape = shape_of(given);
        if (of_one) shape.insert(shape.begin(), 1);
        const bool rows = !shape.empty() && shape[0] == static_cast<std::int64_t>(batch.size());
        const Shape each(shape.begin() + (shape.empty() ? 0 : 1), shape.end());
        if (!rows || (spec.maxshape.empty() && each != spec.shape)) {
            Shape wanted = spec.maxshape.empty() ? spec.shape : spec.maxshape;
            if (of_one) {
                shape.erase(shape.begin());
            } else {
                wanted.insert(wanted.begin(), static_cast<std::int64_t>(batch.size()));
            }
            throw SpecMismatch("reply", name, with_shape(spec, wanted), with_shape(spec, shape),
                               std::string(batch.output_name(k)));
        }
        if (!spec.maxshape.empty()) resize(each, batch.output_name(k));
        if (batch.size() == 1) {
            copy_to(batch.output_at(k), given);
        } else {
            batch.fill_at(k, data_of(given));
        }
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
        const WithoutGil released;
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
        const WithoutGil released;
        made.emplace(name, options);
    } else {
        const Fields in = fields_from(inputs), out = fields_from(outputs);
        const WithoutGil released;
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

}  // namespace

void init_worker_side(nb::module_& m) {
    m.def("set_batch_type", [](nb::object type) { g_batch_type = type.release(); });
    nb::class_<PyBatch>(m, "BatchHandle", nb::is_weak_referenceable())
        .def_prop_ro("inputs", &PyBatch::inputs)
        .def_prop_ro("outputs", &PyBatch::outputs)
        .def_prop_ro("_name", [](PyBatch& b) { return b.name; })
        .def_prop_ro("_output_names",
                     [](PyBatch& b) {
                         nb::list names;
                         for (std::size_t k = 0; k < b.batch.output_count(); ++k) {
                             const auto label = b.batch.output_name(k);
                             names.append(nb::str(label.data(), label.size()));
                         }
                         return names;
                     })
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
        .def("_assign", &PyBatch::assign, nb::arg("field"), nb::arg("value").none(),
             nb::arg("of_one"))
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
        .def("close", &PyWorker::close,
             "Leaves the service: ends run() and batches(); calls not answered go to another "
             "worker.")
        .def("_attrs_json", [](PyWorker& w) { return w.get().attrs_json(); })
        .def("_update_attrs", [](PyWorker& w, nb::callable change) {
            w.get().update_attrs([&](std::string_view old_text) {
                const WithGil gil;
                return nb::cast<std::string>(change(nb::str(old_text.data(), old_text.size())));
            });
        });
    m.def(
        "service_footprint",
        [](nb::object inputs, nb::object outputs, int slots) {
            return footprint(fields_from(inputs), fields_from(outputs), slots);
        },
        nb::arg("inputs"), nb::arg("outputs"), nb::arg("slots"));
}

}  // namespace ndshare::python
