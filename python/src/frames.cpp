#include "frames.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

namespace ndshare::python {
std::size_t the_only_field(const char* operation, std::string_view name, std::size_t count) {
    if (count == 1) return 0;
    throw Error(Errc::invalid_argument, operation, std::string(name),
                "it has several fields: name one, as in frame[\"boxes\"]");
}

void init_frames(nb::module_& m) {
    init_frame_type(m);

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

    m.def("set_frame_type", &set_frame_type);
    m.def(
        "frame_of",
        [](std::string name, std::uint64_t generation, std::uint64_t seq) {
            const FrameRef ref{std::move(name), generation, seq};
            return make_frame(ref.get_or_throw());
        },
        nb::arg("name"), nb::arg("generation"), nb::arg("seq"));
}

}  // namespace ndshare::python
