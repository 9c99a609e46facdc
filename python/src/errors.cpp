#include "errors.h"

#include <nanobind/stl/string.h>

#include "convert.h"

namespace ndshare::python {

void set_error(const Error& e) {
    // Never destroyed: translation may run while the interpreter ends.
    static nb::handle make =
        nb::object(nb::module_::import_("ndshare._errors").attr("make_error")).release();
    const bool ours = e.code().category() == error_category();
    nb::object expected = nb::none(), found = nb::none();
    if (const auto* mismatch = dynamic_cast<const SpecMismatch*>(&e)) {
        expected = from_spec(mismatch->expected);
        found = from_spec(mismatch->found);
    }
    nb::object error = make(ours ? e.code().value() : 0, ours ? 0 : e.code().value(), e.operation(),
                            e.name(), e.what(), expected, found);
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
}

void install_error_translation() {
    nb::register_exception_translator([](const std::exception_ptr& pointer, void*) {
        try {
            std::rethrow_exception(pointer);
        } catch (const Error& e) {
            set_error(e);
        }
    });
}

}  // namespace ndshare::python
