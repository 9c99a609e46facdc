// python/src/gil.h: Python's lock, given away and taken back, also where the interpreter ends
// meanwhile.
//
// A thread that takes the lock of an interpreter that ends is unwound by CPython before 3.13
// (pthread_exit), which ends the process at the first destructor that may not throw. So from the
// interpreter's last call of its atexit functions on nobody but the thread that runs them takes the
// lock here: the others, daemon threads by then, stand still until the process is gone, as in 3.13.
// Threads: any.
#pragma once
#include <nanobind/nanobind.h>

namespace ndshare::python {

// REQUIRES: the lock is held, from give_gil() until take_gil() it is not.
PyThreadState* give_gil() noexcept;
void take_gil(PyThreadState* state) noexcept;

class WithoutGil {
 public:
    WithoutGil() noexcept : state_(give_gil()) {}
    ~WithoutGil() { take_gil(state_); }
    WithoutGil(const WithoutGil&) = delete;

 private:
    PyThreadState* state_;
};

// Of a thread that may hold it or not.
class WithGil {
 public:
    WithGil() noexcept;
    ~WithGil() { PyGILState_Release(state_); }
    WithGil(const WithGil&) = delete;

 private:
    PyGILState_STATE state_;
};

void init_gil(nanobind::module_& m);

}  // namespace ndshare::python
