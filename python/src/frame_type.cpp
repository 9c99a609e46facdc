#include "frame_type.h"

#include <structmember.h>

#include <cstddef>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "errors.h"
#include "frames.h"
#include "numpy.h"

namespace ndshare::python {
namespace {

// For ever: types are needed for as long as the interpreter lives.
PyTypeObject* g_pin_type = nullptr;
PyTypeObject* g_frame_type = nullptr;

// A C++ exception becomes Python's: what the binding library does around a bound function.
template <class Body>
PyObject* guarded(Body body) noexcept {
    try {
        return body();
    } catch (nb::python_error& e) {
        e.restore();
    } catch (const Error& e) {
        try {
            set_error(e);
        } catch (nb::python_error& other) {  // a signal's, or too deep a recursion
            other.restore();
        }
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& e) {
        PyErr_SetString(PyExc_RuntimeError, e.what());
    }
    return nullptr;
}

// By value: while the GIL is away, nobody else finds what is on its way out.
void drop(std::optional<Frame> frame) noexcept {
    if (!frame) return;
    // The last one lets the stream's memory go, which may wait for a lock whose holder needs the
    // GIL; otherwise a bit is cleared, which is not worth giving the GIL away.
    std::optional<WithoutGil> released;
    if (frame->holds_the_stream()) released.emplace();
    frame.reset();
}

template <class Object>
Object* as(PyObject* self) {
    return reinterpret_cast<Object*>(self);
}

// The end of an instance of a heap type.
template <class Object>
void free_instance(PyObject* self) noexcept {
    PyTypeObject* type = Py_TYPE(self);
    as<Object>(self)->~Object();
    type->tp_free(self);
    Py_DECREF(type);
}

// ---- what keeps a frame for a view --------------------------------------------------------------

struct Pin {
    PyObject_HEAD std::optional<Frame> frame;
};

void free_pin(PyObject* self) {
    drop(std::exchange(as<Pin>(self)->frame, std::nullopt));
    free_instance<Pin>(self);
}

PyType_Slot g_pin_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(&free_pin)}, {0, nullptr}};
PyType_Spec g_pin_spec = {"ndshare._core.FramePin", sizeof(Pin), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, g_pin_slots};

// ---- Frame --------------------------------------------------------------------------------------

struct FrameObject {
    PyObject_HEAD PyObject* weak_list;
    std::optional<Frame> frame;
    nb::object first;                // the first field's view, made at the first need
    std::vector<nb::object> others;  // of the other fields
    // Of a closed frame as well.
    std::uint64_t seq, generation;

    Frame& get(const char* operation) {
        if (frame) return *frame;
        throw Error(Errc::closed, operation, "frame " + std::to_string(seq),
                    "this frame is closed; views that were made of it are still good");
    }
    PyObject* view(std::size_t index) {
        Frame& f = get("array");
        if (index > 0 && others.empty()) others.resize(f.field_count() - 1);
        const nb::object& kept = index == 0 ? first : others[index - 1];
        if (kept.is_valid()) return nb::object(kept).release().ptr();
        nb::object made = make_frame_view(f.field(index), f);
        (index == 0 ? first : others[index - 1]) = made;
        return made.release().ptr();
    }
    void close() {
        // Taken out first: what lets go of a view may run Python (a weak reference's callback) and
        // may give the GIL away, and whoever comes in meanwhile finds a closed frame.
        std::optional<Frame> gone = std::exchange(frame, std::nullopt);
        const nb::object gone_first = std::move(first);
        const std::vector<nb::object> gone_others = std::move(others);
        others.clear();
        drop(std::move(gone));
    }
};

void free_frame(PyObject* self) {
    auto* frame = as<FrameObject>(self);
    if (frame->weak_list != nullptr) PyObject_ClearWeakRefs(self);
    frame->close();
    free_instance<FrameObject>(self);
}

// A getter or a method without arguments from `PyObject* body(FrameObject&)`.
template <PyObject* (*body)(FrameObject&)>
PyObject* call(PyObject* self, void*) {
    return guarded([&] { return body(*as<FrameObject>(self)); });
}
template <PyObject* (*body)(FrameObject&)>
PyObject* call_method(PyObject* self, PyObject*) {
    return guarded([&] { return body(*as<FrameObject>(self)); });
}

PyObject* to_text(std::string_view text) {
    return PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
}
PyObject* array_of(FrameObject& f) {
    Frame& frame = f.get("array");
    return f.view(the_only_field("array", frame.name(), frame.field_count()));
}
PyObject* seq_of(FrameObject& f) { return PyLong_FromUnsignedLongLong(f.seq); }
PyObject* generation_of(FrameObject& f) { return PyLong_FromUnsignedLongLong(f.generation); }
PyObject* time_ns_of(FrameObject& f) { return PyLong_FromLongLong(f.get("time_ns").time_ns()); }
PyObject* age_of(FrameObject& f) {
    return PyFloat_FromDouble(static_cast<double>(f.get("age").age().count()) * 1e-9);
}
PyObject* closed_of(FrameObject& f) { return PyBool_FromLong(!f.frame.has_value()); }
PyObject* name_of(FrameObject& f) { return to_text(f.get("ref").name()); }
PyObject* attrs_of(FrameObject& f) { return to_text(f.get("attrs").attrs_json()); }
PyObject* is_object_of(FrameObject& f) { return PyBool_FromLong(f.get("value").is_object()); }
PyObject* fields_of(FrameObject& f) {
    Frame& frame = f.get("fields");
    nb::list names;
    for (std::size_t k = 0; k < frame.field_count(); ++k) {
        const auto name = frame.field_name(k);
        names.append(nb::str(name.data(), name.size()));
    }
    return names.release().ptr();
}
PyObject* close_frame(FrameObject& f) {
    f.close();
    return nb::none().release().ptr();
}

PyObject* item_of(PyObject* self, PyObject* key) {
    return guarded([&]() -> PyObject* {
        Py_ssize_t length = 0;
        const char* text = PyUnicode_Check(key) ? PyUnicode_AsUTF8AndSize(key, &length) : nullptr;
        if (text == nullptr) {
            if (PyErr_Occurred() == nullptr) {
                PyErr_Format(PyExc_TypeError, "a frame is indexed with the name of a field, not %R",
                             key);
            }
            return nullptr;
        }
        auto& f = *as<FrameObject>(self);
        const std::string_view field(text, static_cast<std::size_t>(length));
        return f.view(f.get("array").field_index(field));
    });
}

PyGetSetDef g_frame_getters[] = {
    {"array", call<array_of>, nullptr, "The only field: a read-only ndarray over the slot.",
     nullptr},
    {"seq", call<seq_of>, nullptr, "Its number: one more than the frame's before it.", nullptr},
    {"generation", call<generation_of>, nullptr, "Which memory of the name it is of.", nullptr},
    {"time_ns", call<time_ns_of>, nullptr, "When it was published, or what put(time_ns=) said: ns.",
     nullptr},
    {"age", call<age_of>, nullptr, "Seconds since it was published; no clock change disturbs it.",
     nullptr},
    {"closed", call<closed_of>, nullptr, "close() was called.", nullptr},
    {"_name", call<name_of>, nullptr, nullptr, nullptr},
    {"_attrs_json", call<attrs_of>, nullptr, nullptr, nullptr},
    {"_is_object", call<is_object_of>, nullptr, nullptr, nullptr},
    {"_fields", call<fields_of>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMethodDef g_frame_methods[] = {
    {"close", call_method<close_frame>, METH_NOARGS,
     "Lets go of the slot as soon as no view of it is left."},
    {nullptr, nullptr, 0, nullptr},
};
PyMemberDef g_frame_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(FrameObject, weak_list), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyType_Slot g_frame_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(&free_frame)},
    {Py_tp_getset, g_frame_getters},
    {Py_tp_methods, g_frame_methods},
    {Py_tp_members, g_frame_members},
    {Py_mp_subscript, reinterpret_cast<void*>(&item_of)},
    {0, nullptr},
};
PyType_Spec g_frame_spec = {
    "ndshare._core.FrameHandle", sizeof(FrameObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, g_frame_slots};

PyTypeObject* make_type(nb::module_& m, PyType_Spec& spec) {
    PyObject* type = PyType_FromModuleAndSpec(m.ptr(), &spec, nullptr);
    if (type == nullptr) nb::raise_python_error();
    return reinterpret_cast<PyTypeObject*>(type);
}

template <class Object>
Object* allocate(PyTypeObject* type) {
    PyObject* made = type->tp_alloc(type, 0);  // zeroed
    if (made == nullptr) nb::raise_python_error();
    return as<Object>(made);
}

}  // namespace

void init_frame_type(nb::module_& m) {
    g_pin_type = make_type(m, g_pin_spec);
    PyTypeObject* base = make_type(m, g_frame_spec);
    m.attr("FrameHandle") = nb::handle(reinterpret_cast<PyObject*>(base));
    g_frame_type = base;
}

void set_frame_type(nb::object type) {
    g_frame_type = reinterpret_cast<PyTypeObject*>(type.release().ptr());
}

nb::object make_frame(Frame frame) {
    auto* made = allocate<FrameObject>(g_frame_type);
    new (&made->first) nb::object();
    new (&made->others) std::vector<nb::object>();
    made->seq = frame.seq();
    made->generation = frame.generation();
    new (&made->frame) std::optional<Frame>(std::move(frame));
    return nb::steal(reinterpret_cast<PyObject*>(made));
}

nb::object make_frame_view(const FieldView& field, Frame frame) {
    auto* pin = allocate<Pin>(g_pin_type);
    new (&pin->frame) std::optional<Frame>(std::move(frame));
    nb::object base = nb::steal(reinterpret_cast<PyObject*>(pin));
    return make_view_over(field, std::move(base), false);
}

}  // namespace ndshare::python
