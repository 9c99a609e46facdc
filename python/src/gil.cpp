#include "gil.h"

#include <unistd.h>

#include <atomic>

namespace nb = nanobind;

namespace ndshare::python {
namespace {

// Who takes the lock counts itself first and looks at g_has_ended then; who ends does the reverse.
// So one of the two sees the other.
std::atomic<int> g_taking{0};
std::atomic<bool> g_has_ended{false};
std::atomic<unsigned long> g_ending_thread{0};

class Taking {
 public:
    Taking() noexcept {
        ++g_taking;
        if (!g_has_ended || g_ending_thread == PyThread_get_thread_ident()) return;
        --g_taking;
        for (;;) pause();
    }
    ~Taking() { --g_taking; }
};

// The lock goes round once more among those who wait for it.
void end() {
    constexpr int kLooksMax = 2000;
    g_ending_thread = PyThread_get_thread_ident();
    g_has_ended = true;
    PyThreadState* state = PyEval_SaveThread();
    for (int look = 0; g_taking > 0 && look < kLooksMax; ++look) usleep(100);
    PyEval_RestoreThread(state);
}

}  // namespace

PyThreadState* give_gil() noexcept { return PyEval_SaveThread(); }

void take_gil(PyThreadState* state) noexcept {
    const Taking taking;
    PyEval_RestoreThread(state);
}

WithGil::WithGil() noexcept {
    if (PyGILState_Check() == 1) {
        state_ = PyGILState_Ensure();
        return;
    }
    const Taking taking;
    state_ = PyGILState_Ensure();
}

void init_gil(nb::module_&) {
    nb::module_::import_("atexit").attr("register")(nb::cpp_function(&end));
    // Those who were taking it are not in a forked child.
    nb::module_::import_("os").attr("register_at_fork")(nb::arg("after_in_child") =
                                                            nb::cpp_function([] { g_taking = 0; }));
}

}  // namespace ndshare::python
