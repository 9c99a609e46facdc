#include "frames.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

namespace ndshare::python {
namespace {

// ---- Frame --------------------------------------------------------------------------------------

struct PyFrame {
    explicit PyFrame(Frame got) : frame(std::move(got)) {}
    std::optional<Frame> frame;
    std::vector<nb::object> views;  // of each field, made at the first need
    // Of a closed frame as well.
    std::uint64_t seq = frame->seq(), generation = frame->generation();

    Frame& get(const char* operation) {
        if (!frame) {
            throw Error(Errc::closed, operation, "frame " + std::to_string(seq),
                        "this frame is closed; views that were made of it are still good");
        }
        return *frame;
    }
    nb::object view(std::size_t index) {
        Frame& f = get("array");
        if (views.empty()) views.resize(f.field_count());
        if (!views[index].is_valid()) views[index] = make_frame_view(f.field(index), f);
        return views[index];
    }
    nb::object array() {
        Frame& f = get("array");
        return view(the_only_field("array", f.name(), f.field_count()));
    }
    nb::object item(std::string_view field) { return view(get("array").field_index(field)); }
    void close() {
        views.clear();
        frame.reset();
    }
};

// ---- Loan ---------------------------------------------------------------------------------------

// ndshare.Frame, a Python subclass of what is bound here: made without its __init__.
nb::handle g_frame_type;

}  // namespace

std::size_t the_only_field(const char* operation, std::string_view name, std::size_t count) {
    if (count == 1) return 0;
    throw Error(Errc::invalid_argument, operation, std::string(name),
                "it has several fields: name one, as in frame[\"boxes\"]");
}

nb::object make_frame(Frame frame) {
    nb::object made = nb::inst_alloc(g_frame_type);
    new (nb::inst_ptr<PyFrame>(made)) PyFrame(std::move(frame));
    nb::inst_mark_ready(made);
    return made;
}

void init_frames(nb::module_& m) {
    nb::class_<PyFrame>(m, "FrameHandle", nb::is_weak_referenceable())
        .def_prop_ro("array", &PyFrame::array)
        .def("__getitem__", &PyFrame::item, nb::arg("field"),
             "One of its fields, a read-only ndarray over the slot.")
        .def_prop_ro("seq", [](PyFrame& f) { return f.seq; })
        .def_prop_ro("generation", [](PyFrame& f) { return f.generation; })
        .def_prop_ro("time_ns", [](PyFrame& f) { return f.get("time_ns").time_ns(); })
        .def_prop_ro(
            "age",
            [](PyFrame& f) { return static_cast<double>(f.get("age").age().count()) * 1e-9; })
        .def_prop_ro("_name", [](PyFrame& f) { return f.get("ref").name(); })
        .def_prop_ro("_attrs_json", [](PyFrame& f) { return f.get("attrs").attrs_json(); })
        .def_prop_ro("_is_object", [](PyFrame& f) { return f.get("value").is_object(); })
        .def_prop_ro("_fields",
                     [](PyFrame& f) {
                         Frame& frame = f.get("fields");
                         nb::list names;
                         for (std::size_t k = 0; k < frame.field_count(); ++k) {
                             const auto name = frame.field_name(k);
                             names.append(nb::str(name.data(), name.size()));
                         }
                         return names;
                     })
        .def_prop_ro("closed", [](PyFrame& f) { return !f.frame.has_value(); })
        .def("close", &PyFrame::close);

    nb::class_<PyLoan>(m, "LoanHandle", nb::dynamic_attr())
        .def_prop_ro("array", &PyLoan::array)
        .def("__getitem__", &PyLoan::item, nb::arg("field"))
        .def("__setitem__", &PyLoan::assign_item, nb::arg("field"), nb::arg("value").none())
        .def("_resize", &PyLoan::resize, nb::arg("shape"), nb::arg("field"))
        .def("_set_attrs",
             [](PyLoan& l, std::string text) { l.get("attrs").attrs_json(std::move(text)); })
        .def("_set_time", [](PyLoan& l, std::int64_t stamp) { l.get("time_ns").time_ns(stamp); })
        .def("_finish", &PyLoan::finish, nb::arg("publish"))
        .def_prop_ro("_is_object", [](PyLoan& l) { return l.get("put").is_object(); })
        .def_prop_ro("seq", [](PyLoan& l) { return l.seq; })
        .def_prop_ro("closed", [](PyLoan& l) { return !l.loan || !l.loan->is_open(); });

    m.def("set_frame_type", [](nb::object type) { g_frame_type = type.release(); });
    m.def(
        "frame_of",
        [](std::string name, std::uint64_t generation, std::uint64_t seq) {
            const FrameRef ref{std::move(name), generation, seq};
            return make_frame(ref.get_or_throw());
        },
        nb::arg("name"), nb::arg("generation"), nb::arg("seq"));
}

}  // namespace ndshare::python
