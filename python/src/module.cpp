// python/src/module.cpp: the extension module ndshare._core; one init_… a noun.
#include <nanobind/nanobind.h>

#include "array.h"
#include "errors.h"
#include "gil.h"
#include "ndshare/ndshare.hpp"
#include "numpy.h"
#include "registry.h"
#include "service.h"
#include "stream.h"
#include "wait.h"

namespace {

namespace nb = nanobind;

// Between the slices of a wait: signals run their Python handlers, whose exceptions end the wait.
void check_signals() {
    if (Py_IsInitialized() == 0) return;
    const ndshare::python::WithGil gil;
    if (PyErr_CheckSignals() != 0) nb::raise_python_error();
}

void* give_gil_away() noexcept {
    return PyGILState_Check() == 1 ? ndshare::python::give_gil() : nullptr;
}
void take_gil_back(void* token) noexcept {
    ndshare::python::take_gil(static_cast<PyThreadState*>(token));
}

}  // namespace

NB_MODULE(_core, m) {
    nb::set_leak_warnings(false);  // handles may well outlive the interpreter, in module globals
    ndshare::python::init_gil(m);
    ndshare::python::import_numpy();
    ndshare::python::install_error_translation();
    ndshare::set_interrupt_check(&check_signals);
    ndshare::set_blocking_hooks({&give_gil_away, &take_gil_back});
    m.attr("__version__") = NDSHARE_VERSION;
    ndshare::python::init_array(m);
    ndshare::python::init_stream(m);
    ndshare::python::init_worker_side(m);
    ndshare::python::init_client_side(m);
    ndshare::python::init_registry(m);
    ndshare::python::init_wait(m);
}
