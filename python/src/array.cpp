#include "array.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <unistd.h>

#include <optional>
#include <vector>

#include "convert.h"
#include "ndshare/ndshare.hpp"
#include "numpy.h"

namespace ndshare::python {
namespace {

// Copies from this size on are done without the GIL: giving it away and back costs about 100 ns.
constexpr std::size_t kReleaseGilBytes = 64 << 10;

struct ArrayHandle {
    std::optional<Array> array;
    nb::object view;  // of the live memory, made at the first need

    Array& get() {
        if (!array) throw nb::value_error("this handle was never opened");
        return *array;
    }
    nb::object live(const char* operation) {
        Array& a = get();
        if (a.closed()) {
            throw Error(Errc::closed, operation, std::string(a.name()),
                        "this handle is closed; open it again");
        }
        if (!view.is_valid()) view = make_view(a.spec(), a.memory(), a.writeable());
        return view;
    }
    void close() {
        if (array) {
            // Closing may pass the name on, under a lock whose holder may need the GIL.
            const WithoutGil released;
            array->close();
        }
        view.reset();
    }
};

[[noreturn]] void raise_timeout(const ArrayHandle& handle, const char* operation) {
    throw Error(Errc::timeout, operation, std::string(handle.array->name()),
                handle.array->writer_text());
}

Array::Write begin_write(ArrayHandle& handle, Timeout timeout, bool recover) {
    auto writing = handle.get().write(timeout, recover);
    if (!writing) raise_timeout(handle, "write");
    return std::move(*writing);
}

void read_bytes(ArrayHandle& handle, std::span<std::byte> out, Timeout timeout) {
    std::optional<WithoutGil> released;
    if (out.size() >= kReleaseGilBytes) released.emplace();
    if (handle.get().read(out, timeout)) return;
    released.reset();
    raise_timeout(handle, "read");
}

nb::object read(ArrayHandle& handle, nb::object out, nb::object timeout_seconds) {
    const Timeout timeout = to_timeout(timeout_seconds, "read", handle.get().name());
    const nb::object view = handle.live("read");
    const bool fresh = out.is_none();
    if (fresh) out = make_like(view);
    if (fresh || takes_bytes(out, view)) {
        read_bytes(handle, {data_of(out), handle.get().nbytes()}, timeout);
    } else if (!handle.get().read(
                   [&](auto) {
                       const WithGil gil;  // a read that waited gave it away
                       copy_into(out, view);
                   },
                   timeout)) {
        raise_timeout(handle, "read");
    }
    return out;
}

// NumPy selects in one go, which a writer takes for standing still when it lasts: after so many
// torn ones the whole is read, in pieces, and the selection made from that.
constexpr int kSelectionAttempts = 4;
struct TooOften {};

nb::object get_item(ArrayHandle& handle, nb::handle key) {
    const nb::object view = handle.live("read");
    nb::object selection;
    int attempts = 0;
    const auto select = [&](nb::handle from) {
        PyObject* found = PyObject_GetItem(from.ptr(), key.ptr());
        if (found == nullptr) nb::raise_python_error();
        selection = detach(nb::steal(found));
    };
    try {
        handle.get().read([&](auto) {
            const WithGil gil;  // a read that waited gave it away
            if (++attempts > kSelectionAttempts) throw TooOften();
            select(view);
        });
    } catch (const TooOften&) {
        select(read(handle, nb::none(), nb::none()));
    }
    return selection;
}

void set_item(ArrayHandle& handle, nb::handle key, nb::handle value) {
    nb::object view = handle.live("write");
    nb::object at = nb::borrow(key);
    if (names_fields(key, view)) {
        view = nb::object(view[key]);
        at = nb::ellipsis();
    }
    const nb::object prepared =
        handle.get().writeable() ? prepare_value(value, view) : nb::borrow(value);
    if (at.is(nb::ellipsis())) require_broadcast(prepared, view);  // refused before it counts
    auto writing = begin_write(handle, forever, key.is(nb::ellipsis()));
    if (PyObject_SetItem(view.ptr(), at.ptr(), prepared.ptr()) == 0) return writing.commit();
    // NumPy refused the index or the shape before it stored a byte.
    nb::python_error error;
    writing.cancel();
    throw error;
}

// `with a.write() as w`: takes the lock on entering, not before.
struct Writing {
    nb::object owner;  // the handle, alive through the block
    Timeout timeout;
    bool recover;
    std::optional<Array::Write> write;
    pid_t process = 0;  // that entered; the child of a fork in the block leaves it without effect

    nb::object enter() {
        if (write) throw nb::value_error("this write() was entered already; call write() again");
        auto& handle = nb::cast<ArrayHandle&>(owner);
        nb::object view = handle.live("write");
        write.emplace(begin_write(handle, timeout, recover));
        process = getpid();
        return view;
    }
    void exit(nb::handle error_type) {
        if (!write) return;
        // An exception leaves the array incomplete: its bytes are half new, and cannot be undone.
        if (error_type.is_none() && process == getpid()) write->commit();
        write.reset();
    }
};

Existing to_existing(const std::string& text) {
    if (text == "error") return Existing::error;
    if (text == "adopt") return Existing::adopt;
    if (text == "replace") return Existing::replace;
    throw nb::value_error("existing must be \"error\", \"adopt\" or \"replace\"");
}

Spec make_spec(nb::handle shape, std::string_view dtype, bool aligned, bool fortran) {
    return {.shape = to_shape(shape),
            .dtype = Dtype(dtype),
            .order = fortran ? Order::fortran : Order::c,
            .maxshape = {},
            .aligned = aligned};
}

// data: an ndarray of the spec, contiguous in its order, or None for zeros.
void init_create(ArrayHandle* self, std::string_view name, nb::tuple shape, std::string_view dtype,
                 bool aligned, bool fortran, nb::object data, const std::string& existing,
                 const std::string& attrs_json, bool persistent, unsigned permissions,
                 const std::string& group, nb::object spin) {
    const Spec spec = make_spec(shape, dtype, aligned, fortran);
    const CreateOptions options{.existing = to_existing(existing),
                                .attrs_json = attrs_json,
                                .sharing = {persistent, permissions, group},
                                .spin = to_spin(spin, "create", name)};
    std::span<const std::byte> bytes;
    const bool has_data = !data.is_none();
    if (has_data) bytes = {data_of(data), nbytes_of(data)};
    std::optional<Array> made;
    {
        const WithoutGil released;
        made.emplace(has_data ? Array::create(name, spec, bytes, options)
                              : Array::create(name, spec, options));
    }
    new (self) ArrayHandle{std::move(made), {}};
}

void init_open(ArrayHandle* self, std::string_view name, bool writeable, nb::object shape,
               nb::object dtype, bool aligned, nb::object timeout, nb::object spin,
               std::string full_name) {
    OpenOptions options{.writeable = writeable,
                        .expect = {},
                        .timeout = to_timeout(timeout, "open", name),
                        .spin = to_spin(spin, "open", name),
                        .expect_shape = !shape.is_none(),
                        .expect_dtype = !dtype.is_none(),
                        .full_name = std::move(full_name)};
    if (options.expect_shape || options.expect_dtype) {
        options.expect =
            make_spec(options.expect_shape ? shape : nb::object(nb::tuple()),
                      options.expect_dtype ? nb::cast<std::string>(dtype) : "<f8", aligned, false);
    }
    std::optional<Array> opened;
    {
        const WithoutGil released;
        opened.emplace(Array::open(name, options));
    }
    new (self) ArrayHandle{std::move(opened), {}};
}

std::optional<std::uint64_t> wait(ArrayHandle& handle, nb::object timeout,
                                  std::optional<std::uint64_t> since) {
    Array& array = handle.get();
    return array.wait(to_timeout(timeout, "wait", array.name()), since);
}

void update_attrs(ArrayHandle& handle, nb::callable change) {
    handle.get().update_attrs([&](std::string_view old_text) {
        const WithGil gil;
        return nb::cast<std::string>(change(nb::str(old_text.data(), old_text.size())));
    });
}

}  // namespace

std::optional<Waitable> waitable_array(nb::handle object) {
    if (!nb::isinstance<ArrayHandle>(object)) return std::nullopt;
    return Waitable(nb::cast<ArrayHandle&>(object).get());
}

void init_array(nb::module_& m) {
    nb::class_<Writing>(m, "Writing")
        .def("__enter__", &Writing::enter)
        .def(
            "__exit__",
            [](Writing& self, nb::handle type, nb::handle, nb::handle) { self.exit(type); },
            nb::arg("t").none(), nb::arg("e").none(), nb::arg("tb").none());

    nb::class_<ArrayHandle>(m, "ArrayHandle", nb::is_weak_referenceable(), nb::dynamic_attr())
        .def("__init__", &init_create, nb::arg("name"), nb::arg("shape"), nb::arg("dtype"),
             nb::arg("aligned"), nb::arg("fortran"), nb::arg("data").none(), nb::arg("existing"),
             nb::arg("attrs_json"), nb::arg("persistent"), nb::arg("permissions"), nb::arg("group"),
             nb::arg("spin").none())
        .def("__init__", &init_open, nb::arg("name"), nb::arg("writeable"), nb::arg("shape").none(),
             nb::arg("dtype").none(), nb::arg("aligned"), nb::arg("timeout").none(),
             nb::arg("spin").none(), nb::arg("full_name"))
        .def_prop_ro(
            "name", [](ArrayHandle& h) { return h.get().name(); },
            "As given, without NDSHARE_NAMESPACE.")
        .def_prop_ro("_full_name", [](ArrayHandle& h) { return h.get().full_name(); })
        .def_prop_ro(
            "closed", [](ArrayHandle& h) { return h.get().closed(); }, "close() was called.")
        .def_prop_ro(
            "shape", [](ArrayHandle& h) { return from_shape(h.get().spec().shape); },
            "Extents, a tuple.")
        .def_prop_ro(
            "dtype", [](ArrayHandle& h) { return dtype_of(h.get().spec()); },
            "numpy.dtype of an element.")
        .def_prop_ro(
            "spec", [](ArrayHandle& h) { return from_spec(h.get().spec()); },
            "dtype, shape and order as one Spec.")
        .def_prop_ro(
            "nbytes", [](ArrayHandle& h) { return h.get().nbytes(); }, "Bytes of the data.")
        .def_prop_ro(
            "path", [](ArrayHandle& h) { return h.get().path(); },
            "Opens with numpy.load(path, mmap_mode=\"r+\"), without ndshare; stores made that way "
            "are not counted or announced.")
        .def_prop_ro(
            "writeable", [](ArrayHandle& h) { return h.get().writeable(); },
            "May this handle change the memory?")
        .def_prop_ro(
            "generation", [](ArrayHandle& h) { return h.get().generation(); },
            "Which memory under this name: larger for every later one.")
        .def_prop_ro(
            "version", [](ArrayHandle& h) { return h.get().version(); },
            "Completed writes; 0: never written.")
        .def_prop_ro(
            "replaced", [](ArrayHandle& h) { return h.get().replaced(); },
            "Has the name got new memory meanwhile?")
        .def_prop_ro(
            "array", [](ArrayHandle& h) { return h.live("array"); },
            "The live memory as a plain ndarray, the same object each time. Unsynchronised: stores "
            "are not announced, loads may be torn.")
        .def_prop_ro("_seen", [](ArrayHandle& h) { return h.get().seen(); })
        .def("_saw", [](ArrayHandle& h, std::uint64_t version) { h.get().saw(version); })
        .def("__getitem__", &get_item, nb::arg("key").none(), "A consistent copy of the selection.")
        .def("__setitem__", &set_item, nb::arg("key").none(), nb::arg("value").none(),
             "One complete write: exclusive, counted in version, announced to waiters. a[...] = x "
             "also heals an incomplete write.")
        .def("read", &read, nb::arg("out").none() = nb::none(), nb::kw_only(),
             nb::arg("timeout").none() = nb::none(),
             "A consistent copy of all, into out where given (same shape, any castable "
             "dtype).\n\nEnds within the time writers spend inside write() plus four copies; "
             "timeout: seconds.\nErrors: IncompleteWrite, TimeoutError, Closed.")
        .def(
            "write",
            [](nb::object self, nb::object timeout, bool recover) {
                const auto name = nb::cast<ArrayHandle&>(self).get().name();
                const Timeout limit = to_timeout(timeout, "write", name);
                return Writing{std::move(self), limit, recover, {}, 0};
            },
            nb::kw_only(), nb::arg("timeout").none() = nb::none(), nb::arg("recover") = false,
            "`with a.write() as w`: exclusive; leaving counts and announces it. w is the live "
            "memory, for the block.\n\nAn exception in the block leaves IncompleteWrite for "
            "everybody; recover=True enters all the same, to fill all of it.\nErrors: "
            "TimeoutError, IncompleteWrite, Replaced, PermissionError (read-only), ValueError "
            "(nested in one thread).")
        .def("wait", &wait, nb::arg("timeout").none() = nb::none(), nb::kw_only(),
             nb::arg("since").none() = nb::none(),
             "The version, once it is newer than what this handle had read, written or waited for "
             "when wait() was called (or than since); None: not within timeout seconds.\n\nSo "
             "write, then wait() waits for the answer, however fast it came. A new handle has read "
             "nothing.\nErrors: IncompleteWrite, Replaced, Closed.")
        .def(
            "fileno", [](ArrayHandle& h) { return h.get().fileno(); },
            "A descriptor for select, poll, epoll: readable exactly while wait(0) would return. "
            "Not to be read.")
        .def(
            "unlink",
            [](ArrayHandle& h) {
                const WithoutGil released;
                h.get().unlink();
            },
            "Takes the name from this memory (never from a successor); holders keep the memory.")
        .def("close", &ArrayHandle::close,
             "Lets go of the memory, idempotent, from any thread; wakes this handle's waiters. "
             "Views stay valid.")
        .def("_attrs_json", [](ArrayHandle& h) { return h.get().attrs_json(); })
        .def("_update_attrs", &update_attrs);

    // For annotations: Array[np.float64] is Array.
    const nb::object alias = nb::module_::import_("types").attr("GenericAlias");
    const nb::object class_method = nb::module_::import_("builtins").attr("classmethod");
    nb::setattr(nb::type<ArrayHandle>(), "__class_getitem__", class_method(alias));
    nb::setattr(nb::type<Writing>(), "__class_getitem__", class_method(alias));

    m.def(
        "require_timeout",
        [](std::string_view name, nb::object timeout) { (void)to_timeout(timeout, "wait", name); },
        nb::arg("name"), nb::arg("timeout").none());
}

}  // namespace ndshare::python
