#include "stream.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <unistd.h>

#include <array>
#include <optional>
#include <vector>

#include "convert.h"
#include "frames.h"
#include "ndshare/ndshare.hpp"
#include "numpy.h"

namespace ndshare::python {
namespace {

// ---- Publisher ----------------------------------------------------------------------------------

struct PyPublisher {
    std::optional<Publisher> publisher;
    // Of a stream of one field and one shape: what put() looks for.
    std::optional<Spec> plain;
    nb::object dtype;

    Publisher& get() {
        if (!publisher) throw nb::value_error("this publisher was never made");
        return *publisher;
    }
    void close() {
        if (!publisher) return;
        const WithoutGil released;
        publisher->close();
    }
};

PublisherOptions options_from(nb::handle fields, std::uint64_t object_nbytes, int slots) {
    PublisherOptions options;
    options.slots = slots;
    options.object_bytes_max = object_nbytes;
    if (fields.is_none()) return options;
    for (const nb::handle item : nb::borrow<nb::list>(fields)) {
        const auto pair = nb::cast<nb::tuple>(item);
        options.fields.emplace_back(nb::cast<std::string>(pair[0]), spec_from(pair[1]));
    }
    return options;
}

void init_publisher(PyPublisher* self, std::string_view name, nb::object fields,
                    std::uint64_t object_nbytes, int slots, bool block, bool shared,
                    const std::string& attrs_json, bool persistent, unsigned permissions,
                    const std::string& group, nb::object spin, const std::string& full_name) {
    PublisherOptions options = options_from(fields, object_nbytes, slots);
    options.overflow = block ? Overflow::block : Overflow::drop_oldest;
    options.shared = shared;
    options.attrs_json = attrs_json;
    options.sharing = {persistent, permissions, group};
    options.spin = to_spin(spin, "publish", name);
    options.full_name = full_name;
    std::optional<Publisher> made;
    {
        const WithoutGil released;
        made.emplace(name, options);
    }
    new (self) PyPublisher{std::move(made), {}, {}};
    const Fields all = self->publisher->fields();
    if (all.size() == 1 && all.front().second.maxshape.empty()) {
        self->plain = all.front().second;
        self->dtype = dtype_of(*self->plain);
    }
}

Loan take_loan(Publisher& publisher, Timeout timeout) {
    auto loan = publisher.loan(timeout);
    if (loan) return std::move(*loan);
    throw Error(Errc::timeout, "loan", std::string(publisher.name()), publisher.blocked_by());
}

nb::object to_seq(const std::optional<std::uint64_t>& seq) {
    return seq ? nb::object(nb::int_(*seq)) : nb::none();
}

nb::object put(PyPublisher& self, nb::object value, nb::object attrs,
               std::optional<std::int64_t> time_ns, nb::object timeout_seconds) {
    Publisher& publisher = self.get();
    std::string attrs_json;
    if (!attrs.is_none()) {
        const auto name = publisher.name();
        attrs_json = nb::cast<std::string>(
            nb::module_::import_("ndshare._stream")
                .attr("frame_attrs")(attrs, nb::str(name.data(), name.size())));
    }
    const Timeout timeout =
        timeout_seconds.is_none() ? forever : to_timeout(timeout_seconds, "put", publisher.name());
    if (self.plain && is_exactly(value, self.dtype, self.plain->shape, self.plain->order)) {
        const std::span<const std::byte> bytes(data_of(value), nbytes_of(value));
        std::optional<WithoutGil> released;
        if (bytes.size() >= kReleaseGilBytes) released.emplace();
        const auto seq = publisher.put_bytes(bytes, {timeout, time_ns, attrs_json});
        released.reset();
        return to_seq(seq);
    }
    PyLoan loan(take_loan(publisher, timeout), publisher.name());
    if (!attrs_json.empty()) loan.loan->attrs_json(attrs_json);
    if (time_ns) loan.loan->time_ns(*time_ns);
    if (loan.loan->is_object()) {
        nb::module_::import_("ndshare._objects")
            .attr("store")(nb::cast(&loan), value, publisher.name());
    } else if (PyDict_Check(value.ptr()) ||
               (PyMapping_Check(value.ptr()) != 0 && nb::hasattr(value, "keys"))) {
        const auto given = nb::borrow<nb::dict>(
            PyDict_Check(value.ptr())
                ? value
                : nb::object(nb::handle(reinterpret_cast<PyObject*>(&PyDict_Type))(value)));
        for (const auto [key, item] : given) {
            loan.assign_item(nb::cast<std::string>(key), item);
        }
        for (std::size_t k = 0; k < loan.loan->field_count(); ++k) {
            const std::string field(loan.loan->field_name(k));
            if (given.contains(field.c_str())) continue;
            throw Error(Errc::invalid_argument, "put", std::string(publisher.name()),
                        "the field \"" + field + "\" is missing");
        }
    } else {
        if (loan.loan->field_count() != 1) {
            throw Error(Errc::invalid_argument, "put", std::string(publisher.name()),
                        "its frames have several fields: put({\"name\": array, ...})");
        }
        loan.assign(0, value);
    }
    loan.finish(true);
    return to_seq(loan.seq);
}

std::size_t put_many(PyPublisher& self, nb::object values, nb::object timeout) {
    Publisher& publisher = self.get();
    const Timeout limit = to_timeout(timeout, "put_many", publisher.name());
    if (!self.plain) {
        throw Error(Errc::invalid_argument, "put_many", std::string(publisher.name()),
                    "it is for streams of one field and one shape");
    }
    const nb::object given = named("put_many", std::string(publisher.name()),
                                   [&] { return as_field(values, *self.plain); });
    auto shape = shape_of(given);
    if (shape.empty() || !std::equal(shape.begin() + 1, shape.end(), self.plain->shape.begin(),
                                     self.plain->shape.end())) {
        Spec got = *self.plain;
        got.shape = shape;
        Spec wanted = *self.plain;
        wanted.shape.insert(wanted.shape.begin(), shape.empty() ? 1 : shape[0]);
        throw SpecMismatch("put_many", std::string(publisher.name()), wanted, got);
    }
    const std::span<const std::byte> bytes(data_of(given), nbytes_of(given));
    const WithoutGil released;
    return publisher.put_many(bytes, static_cast<std::size_t>(shape[0]), limit);
}

// ---- Subscriber ---------------------------------------------------------------------------------

struct PySubscriber {
    std::optional<Subscriber> subscriber;
    Subscriber& get() {
        if (!subscriber) throw nb::value_error("this subscriber was never made");
        return *subscriber;
    }
    void close() {
        if (!subscriber) return;
        const WithoutGil released;
        subscriber->close();
    }
};

void init_subscriber(PySubscriber* self, std::string_view name, bool latest, nb::object shape,
                     nb::object dtype, bool aligned, nb::object spin,
                     const std::string& full_name) {
    SubscriberOptions options;
    options.latest = latest;
    options.spin = to_spin(spin, "subscribe", name);
    options.expect_shape = !shape.is_none();
    options.expect_dtype = !dtype.is_none();
    options.full_name = full_name;
    if (options.expect_shape || options.expect_dtype) {
        Spec expect;
        if (options.expect_shape) expect.shape = to_shape(shape);
        if (options.expect_dtype) expect.dtype = Dtype(nb::cast<std::string>(dtype));
        expect.aligned = aligned;
        options.expect = expect;
    }
    std::optional<Subscriber> made;
    {
        const WithoutGil released;
        made.emplace(name, options);
    }
    new (self) PySubscriber{std::move(made)};
}

nb::object get(PySubscriber& self, nb::object timeout) {
    Subscriber& subscriber = self.get();
    auto frame =
        subscriber.get(timeout.is_none() ? forever : to_timeout(timeout, "get", subscriber.name()));
    if (!frame) return nb::none();
    return make_frame(std::move(*frame));
}

nb::object get_many(PySubscriber& self, std::size_t max_count, nb::object timeout) {
    Subscriber& subscriber = self.get();
    Timeout limit = to_timeout(timeout, "get_many", subscriber.name());
    auto fields = subscriber.fields();
    if (!fields) {
        // There is no stream yet, so nobody knows what its rows look like.
        std::array first{Waitable(subscriber)};
        ndshare::wait(first, limit);
        limit = Timeout(0);
        fields = subscriber.fields();
        if (!fields) {
            (void)subscriber.get_many({}, 1, limit);  // if there is a reason, it says so
            return make_rows({.shape = {0}, .dtype = "f8"}, 0);
        }
    }
    if (fields->size() != 1 || !fields->front().second.maxshape.empty()) {
        throw Error(Errc::invalid_argument, "get_many", std::string(subscriber.name()),
                    "it is for streams of one field and one shape");
    }
    nb::object rows = make_rows(fields->front().second, max_count);
    const std::span<std::byte> out(data_of(rows), nbytes_of(rows));
    std::size_t count = 0;
    {
        const WithoutGil released;
        count = subscriber.get_many(out, max_count, limit);
    }
    return count == max_count ? rows : rows[nb::slice(nb::int_(0), nb::int_(count), nb::none())];
}

}  // namespace

std::optional<Waitable> waitable_subscriber(nb::handle object) {
    if (!nb::isinstance<PySubscriber>(object)) return std::nullopt;
    return Waitable(nb::cast<PySubscriber&>(object).get());
}

void init_stream(nb::module_& m) {
    init_frames(m);
    nb::class_<PyPublisher>(m, "PublisherHandle", nb::is_weak_referenceable(), nb::dynamic_attr())
        .def("__init__", &init_publisher, nb::arg("name"), nb::arg("fields").none(),
             nb::arg("object_nbytes"), nb::arg("slots"), nb::arg("block"), nb::arg("shared"),
             nb::arg("attrs_json"), nb::arg("persistent"), nb::arg("permissions"), nb::arg("group"),
             nb::arg("spin").none(), nb::arg("full_name"))
        .def_prop_ro("name", [](PyPublisher& p) { return p.get().name(); })
        .def_prop_ro("_full_name", [](PyPublisher& p) { return p.get().full_name(); })
        .def_prop_ro("closed", [](PyPublisher& p) { return p.get().closed(); })
        .def_prop_ro(
            "spec",
            [](PyPublisher& p) { return from_fields(p.get().fields(), p.get().is_object()); })
        .def_prop_ro("_is_object", [](PyPublisher& p) { return p.get().is_object(); })
        .def_prop_ro("slots", [](PyPublisher& p) { return p.get().slots(); })
        .def_prop_ro("generation", [](PyPublisher& p) { return p.get().generation(); })
        .def_prop_ro("subscriber_count", [](PyPublisher& p) { return p.get().subscriber_count(); })
        .def_prop_ro(
            "dropped", [](PyPublisher& p) { return p.get().dropped(); },
            "Frames that this publisher gave up as every slot was pinned (drop_oldest).")
        .def_prop_ro(
            "blocked_by", [](PyPublisher& p) { return p.get().blocked_by(); },
            "In words, which process was in the way when a frame was dropped, or put() timed out.")
        .def_prop_ro("nbytes", [](PyPublisher& p) { return p.get().nbytes(); })
        .def(
            "_loan",
            [](PyPublisher& p, nb::object timeout) {
                return PyLoan(take_loan(p.get(), to_timeout(timeout, "loan", p.get().name())),
                              p.get().name());
            },
            nb::arg("timeout").none())
        .def("put", &put, nb::arg("value").none(), nb::kw_only(),
             nb::arg("attrs").none() = nb::none(), nb::arg("time_ns").none() = nb::none(),
             nb::arg("timeout").none() = nb::none(),
             "Publishes a copy: an array, a mapping of all fields, or the object.\n\nThe frame's "
             "seq; "
             "None when it was dropped because every slot is pinned (counted in dropped).\nErrors: "
             "SpecMismatch and TypeError (dtype, shape), ValueError (fields, attrs), TimeoutError "
             "(block), Closed, Replaced, EndOfStream.")
        .def("put_many", &put_many, nb::arg("values"), nb::kw_only(),
             nb::arg("timeout").none() = nb::none(),
             "Publishes a copy of each row of values, (n, *shape): how many.\n\nFor streams of one "
             "field and one shape. block: stops when the timeout is over.")
        .def(
            "end",
            [](PyPublisher& p) {
                const WithoutGil released;
                p.get().end();
            },
            "No frame follows in this memory: subscribers get what is there, then EndOfStream.")
        .def(
            "wait_subscribers",
            [](PyPublisher& p, int count, nb::object timeout) {
                return p.get().wait_subscribers(
                    count, to_timeout(timeout, "wait_subscribers", p.get().name()));
            },
            nb::arg("count") = 1, nb::arg("timeout").none() = nb::none())
        .def("close", &PyPublisher::close,
             "A pause: subscribers keep what they have and wait for the next publisher.")
        .def("_attrs_json", [](PyPublisher& p) { return p.get().attrs_json(); })
        .def("_update_attrs", [](PyPublisher& p, nb::callable change) {
            p.get().update_attrs([&](std::string_view old_text) {
                const WithGil gil;
                return nb::cast<std::string>(change(nb::str(old_text.data(), old_text.size())));
            });
        });

    nb::class_<PySubscriber>(m, "SubscriberHandle", nb::is_weak_referenceable(), nb::dynamic_attr())
        .def("__init__", &init_subscriber, nb::arg("name"), nb::arg("latest"),
             nb::arg("shape").none(), nb::arg("dtype").none(), nb::arg("aligned"),
             nb::arg("spin").none(), nb::arg("full_name"))
        .def_prop_ro("name", [](PySubscriber& s) { return s.get().name(); })
        .def_prop_ro("_full_name", [](PySubscriber& s) { return s.get().full_name(); })
        .def_prop_ro("closed", [](PySubscriber& s) { return s.get().closed(); })
        .def_prop_ro("latest", [](PySubscriber& s) { return s.get().latest(); })
        .def("get", &get, nb::arg("timeout").none() = nb::none(),
             "The next frame, pinned; None: none within timeout seconds.\n\nErrors: EndOfStream, "
             "Closed, SpecMismatch, Corrupt, PermissionError.")
        .def("get_many", &get_many, nb::arg("max_count"), nb::arg("timeout").none() = nb::none(),
             "Up to max_count frames, copied into one array (n, *shape); waits for the first one.\n"
             "n is 0 when the timeout, in seconds, is over. Streams of one field and one shape.\n\n"
             "Errors: EndOfStream, Closed, ValueError.")
        .def("fileno", [](PySubscriber& s) { return s.get().fileno(); })
        .def_prop_ro("spec",
                     [](PySubscriber& s) -> nb::object {
                         const auto fields = s.get().fields();
                         if (!fields) return nb::none();
                         return from_fields(*fields, s.get().is_object());
                     })
        .def_prop_ro("publisher_count", [](PySubscriber& s) { return s.get().publisher_count(); })
        .def_prop_ro(
            "lost", [](PySubscriber& s) { return s.get().lost(); },
            "Frames that were overwritten before this subscriber got them, since it was made.")
        .def_prop_ro(
            "lag", [](PySubscriber& s) { return s.get().lag(); },
            "Frames that are published and were not got yet, lost ones included.")
        .def("close", &PySubscriber::close,
             "Ends its waits in other threads (Closed). Frames that it got stay good. Twice is "
             "fine.")
        .def("_attrs_json", [](PySubscriber& s) { return s.get().attrs_json(); });

    // What failed in its __init__ has no members to ask.
    m.def("is_made", [](nb::handle handle) { return nb::inst_ready(handle); }, nb::arg("handle"));
    m.def(
        "stream_footprint",
        [](nb::object fields, std::uint64_t object_nbytes, int slots) {
            return footprint(options_from(fields, object_nbytes, slots));
        },
        nb::arg("fields").none(), nb::arg("object_nbytes"), nb::arg("slots"));
}

}  // namespace ndshare::python
