#include "numpy.h"

#include <nanobind/stl/string.h>

#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#define NPY_TARGET_VERSION NPY_1_23_API_VERSION
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace ndshare::python {
namespace {

constexpr const char* kLeaseName = "ndshare.memory";

PyArrayObject* as_array(nb::handle object) {
    return reinterpret_cast<PyArrayObject*>(object.ptr());
}

nb::object steal_or_throw(PyObject* object) {
    if (object == nullptr) nb::raise_python_error();
    return nb::steal(object);
}

void drop_lease(PyObject* capsule) {
    auto* lease =
        static_cast<std::shared_ptr<std::byte>*>(PyCapsule_GetPointer(capsule, kLeaseName));
    // The last lease lets the memory go, which may wait for a lock whose holder needs the GIL.
    const WithoutGil released;
    delete lease;
}

std::string shape_text(PyArrayObject* array) {
    std::string text = "(";
    for (int k = 0; k < PyArray_NDIM(array); ++k) {
        text += (k == 0 ? "" : ",") + std::to_string(PyArray_DIM(array, k));
    }
    return text + (PyArray_NDIM(array) == 1 ? ",)" : ")");
}

bool is_plain_number(PyArray_Descr* descr) {
    return PyTypeNum_ISNUMBER(descr->type_num) || PyTypeNum_ISBOOL(descr->type_num);
}

}  // namespace

void import_numpy() {
    if (_import_array() < 0) nb::raise_python_error();
}

bool is_bool(nb::handle object) {
    return PyBool_Check(object.ptr()) || PyArray_IsScalar(object.ptr(), Bool);
}

nb::object dtype_of(const Spec& spec) {
    // Kept for ever, like NumPy's own dtypes; the number of different ones is the program's.
    // The last one again: a stream's frames ask for the same each time. (Under the GIL.)
    static std::string last_text;
    static bool last_aligned = false;
    static PyObject* last = nullptr;
    if (last != nullptr && last_aligned == spec.aligned && last_text == spec.dtype.str()) {
        return nb::borrow(last);
    }
    const auto remember = [&](PyObject* dtype) {
        last_text = spec.dtype.str();
        last_aligned = spec.aligned;
        last = dtype;
        return nb::borrow(dtype);
    };
    static auto* known = new std::unordered_map<std::string, PyObject*>;
    const std::string key = (spec.aligned ? "a" : "-") + spec.dtype.str();
    const auto found = known->find(key);
    if (found != known->end()) return remember(found->second);
    nb::object dtype = nb::module_::import_("ndshare._dtype")
                           .attr("dtype_of_text")(spec.dtype.str(), spec.aligned);
    known->emplace(key, dtype.inc_ref().ptr());
    return remember(dtype.ptr());
}

namespace {

// base: what keeps the memory; stolen.
nb::object view_over(const Spec& spec, std::span<const std::int64_t> shape, const std::byte* data,
                     nb::object base, bool writeable) {
    nb::object dtype = dtype_of(spec);
    npy_intp extents[64];  // layout's limit, and NumPy 2's
    if (shape.size() > std::size(extents)) throw nb::value_error("too many dimensions for NumPy");
    std::copy(shape.begin(), shape.end(), extents);
    int flags = writeable ? NPY_ARRAY_WRITEABLE : 0;
    if (spec.order == Order::fortran) flags |= NPY_ARRAY_F_CONTIGUOUS;
    auto* descr = reinterpret_cast<PyArray_Descr*>(dtype.release().ptr());
    // Contiguity NumPy sees by itself where it is given no strides, alignment it does not.
    const auto alignment =
        static_cast<std::size_t>(std::max<npy_intp>(1, PyDataType_ALIGNMENT(descr)));
    if (reinterpret_cast<std::uintptr_t>(data) % alignment == 0) flags |= NPY_ARRAY_ALIGNED;
    nb::object view = steal_or_throw(
        PyArray_NewFromDescr(&PyArray_Type, descr, static_cast<int>(shape.size()), extents, nullptr,
                             const_cast<std::byte*>(data), flags, nullptr));
    if (PyArray_SetBaseObject(as_array(view), base.release().ptr()) < 0) nb::raise_python_error();
    return view;
}

}  // namespace

nb::object make_view(const Spec& spec, std::shared_ptr<std::byte> memory, bool writeable) {
    std::byte* data = memory.get();
    auto lease = std::make_unique<std::shared_ptr<std::byte>>(std::move(memory));
    nb::object capsule = steal_or_throw(PyCapsule_New(lease.get(), kLeaseName, &drop_lease));
    (void)lease.release();
    return view_over(spec, spec.shape, data, std::move(capsule), writeable);
}

nb::object make_view_over(const FieldView& field, nb::object base, bool writeable) {
    return view_over(*field.spec, field.shape, field.data, std::move(base), writeable);
}

nb::object make_loan_view(const FieldView& field, std::shared_ptr<std::byte> memory) {
    auto lease = std::make_unique<std::shared_ptr<std::byte>>(std::move(memory));
    nb::object capsule = steal_or_throw(PyCapsule_New(lease.get(), kLeaseName, &drop_lease));
    (void)lease.release();
    return make_view_over(field, std::move(capsule), true);
}

nb::object make_rows(const Spec& spec, std::size_t count) {
    std::vector<std::int64_t> shape{static_cast<std::int64_t>(count)};
    shape.insert(shape.end(), spec.shape.begin(), spec.shape.end());
    return make_empty(spec, shape);
}

nb::object make_empty(const Spec& spec, std::span<const std::int64_t> shape) {
    nb::object dtype = dtype_of(spec);
    std::vector<npy_intp> extents(shape.begin(), shape.end());
    return steal_or_throw(PyArray_Empty(static_cast<int>(extents.size()), extents.data(),
                                        reinterpret_cast<PyArray_Descr*>(dtype.release().ptr()),
                                        0));
}

void make_readonly(nb::handle view) { PyArray_CLEARFLAGS(as_array(view), NPY_ARRAY_WRITEABLE); }

nb::object as_field(nb::handle value, const Spec& spec) {
    nb::object dtype = dtype_of(spec);
    auto* wanted = reinterpret_cast<PyArray_Descr*>(dtype.ptr());
    if (PyArray_Check(value.ptr()) &&
        !PyArray_CanCastTypeTo(PyArray_DESCR(as_array(value)), wanted, NPY_SAME_KIND_CASTING)) {
        const std::string given = nb::cast<std::string>(
            nb::str(nb::handle(reinterpret_cast<PyObject*>(PyArray_DESCR(as_array(value))))));
        throw nb::type_error(
            ("got dtype " + given + ", expected " + to_string(spec) + "; convert it with astype()")
                .c_str());
    }
    Py_INCREF(wanted);
    const int order =
        spec.order == Order::fortran ? NPY_ARRAY_F_CONTIGUOUS : NPY_ARRAY_C_CONTIGUOUS;
    return steal_or_throw(PyArray_FromAny(
        value.ptr(), wanted, 0, 0, order | NPY_ARRAY_FORCECAST | NPY_ARRAY_ALIGNED, nullptr));
}

std::vector<std::int64_t> shape_of(nb::handle array) {
    PyArrayObject* a = as_array(array);
    return {PyArray_DIMS(a), PyArray_DIMS(a) + PyArray_NDIM(a)};
}

bool is_exactly(nb::handle value, nb::handle dtype, std::span<const std::int64_t> shape,
                Order order) {
    if (!PyArray_CheckExact(value.ptr())) return false;
    PyArrayObject* a = as_array(value);
    auto* given = reinterpret_cast<PyObject*>(PyArray_DESCR(a));
    if (given != dtype.ptr() &&
        !PyArray_EquivTypes(PyArray_DESCR(a), reinterpret_cast<PyArray_Descr*>(dtype.ptr()))) {
        return false;
    }
    return static_cast<std::size_t>(PyArray_NDIM(a)) == shape.size() &&
           std::equal(shape.begin(), shape.end(), PyArray_DIMS(a)) &&
           (order == Order::c ? PyArray_IS_C_CONTIGUOUS(a) : PyArray_IS_F_CONTIGUOUS(a));
}

nb::object make_like(nb::handle view) {
    nb::object like =
        steal_or_throw(PyArray_NewLikeArray(as_array(view), NPY_KEEPORDER, nullptr, 0));
    // NumPy makes S0 and U0 one character wide: nothing will be read into them.
    const auto bytes = PyArray_NBYTES(as_array(like));
    if (bytes != PyArray_NBYTES(as_array(view))) std::memset(data_of(like), 0, bytes);
    return like;
}

std::byte* data_of(nb::handle array) {
    return static_cast<std::byte*>(PyArray_DATA(as_array(array)));
}

std::size_t nbytes_of(nb::handle array) {
    return static_cast<std::size_t>(PyArray_NBYTES(as_array(array)));
}

nb::object detach(nb::object selection) {
    if (PyArray_Check(selection.ptr())) {
        if (PyArray_BASE(as_array(selection)) == nullptr) return selection;
        return steal_or_throw(PyArray_NewCopy(as_array(selection), NPY_KEEPORDER));
    }
    if (PyArray_IsScalar(selection.ptr(), Void)) return selection.attr("copy")();
    return selection;
}

bool names_fields(nb::handle key, nb::handle view) {
    if (!PyDataType_HASFIELDS(PyArray_DESCR(as_array(view)))) return false;
    if (PyUnicode_Check(key.ptr())) return true;
    return PyList_Check(key.ptr()) && PyList_GET_SIZE(key.ptr()) > 0 &&
           PyUnicode_Check(PyList_GET_ITEM(key.ptr(), 0));
}

nb::object prepare_value(nb::handle value, nb::handle view) {
    PyArray_Descr* wanted = PyArray_DESCR(as_array(view));
    if (PyArray_Check(value.ptr())) {
        PyArray_Descr* given = PyArray_DESCR(as_array(value));
        // A cast that may fail (NaN to an integer) must fail here, before a byte is stored.
        const bool cannot_fail = is_plain_number(given) && is_plain_number(wanted) &&
                                 PyArray_CanCastTypeTo(given, wanted, NPY_SAFE_CASTING);
        if (cannot_fail || PyArray_EquivTypes(given, wanted)) return nb::borrow(value);
    }
    Py_INCREF(wanted);
    return steal_or_throw(PyArray_FromAny(value.ptr(), wanted, 0, 0, NPY_ARRAY_FORCECAST, nullptr));
}

void require_broadcast(nb::handle value, nb::handle target) {
    if (!PyArray_Check(value.ptr())) return;
    PyArrayObject* from = as_array(value);
    PyArrayObject* to = as_array(target);
    const int from_count = PyArray_NDIM(from), to_count = PyArray_NDIM(to);
    bool fits = true;
    for (int k = 1; k <= from_count; ++k) {
        const npy_intp extent = PyArray_DIM(from, from_count - k);
        fits = fits && (extent == 1 || (k <= to_count && extent == PyArray_DIM(to, to_count - k)));
    }
    if (fits) return;
    throw nb::value_error(("could not broadcast input array from shape " + shape_text(from) +
                           " into shape " + shape_text(to))
                              .c_str());
}

bool takes_bytes(nb::handle out, nb::handle view) {
    if (!PyArray_Check(out.ptr())) throw nb::type_error("out must be a numpy.ndarray");
    PyArrayObject* to = as_array(out);
    PyArrayObject* from = as_array(view);
    if (!PyArray_EquivTypes(PyArray_DESCR(to), PyArray_DESCR(from))) {
        throw nb::type_error("out has another dtype than the array");
    }
    if (PyArray_NDIM(to) != PyArray_NDIM(from) ||
        !PyArray_CompareLists(PyArray_DIMS(to), PyArray_DIMS(from), PyArray_NDIM(to))) {
        throw nb::value_error("out has another shape than the array");
    }
    if (!PyArray_ISWRITEABLE(to)) throw nb::value_error("out is read-only");
    return (PyArray_IS_C_CONTIGUOUS(to) && PyArray_IS_C_CONTIGUOUS(from)) ||
           (PyArray_IS_F_CONTIGUOUS(to) && PyArray_IS_F_CONTIGUOUS(from));
}

void copy_into(nb::handle out, nb::handle view) {
    if (PyArray_CopyInto(as_array(out), as_array(view)) < 0) nb::raise_python_error();
}

}  // namespace ndshare::python
