// python/src/frames.h: a frame that was got and a slot that is lent, as Python holds them.
// REQUIRES everywhere: the GIL is held.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "convert.h"
#include "frame_type.h"
#include "ndshare/ndshare.hpp"
#include "numpy.h"

namespace ndshare::python {

// Copies from this size on are done without the GIL.
inline constexpr std::size_t kReleaseGilBytes = 64 << 10;

// What NumPy says, with the operation and the stream before it.
template <class Body>
auto named(const char* operation, const std::string& name, Body body, std::string_view field = {}) {
    std::string prefix = "[" + std::string(operation) + "] \"" + name + "\": ";
    if (!field.empty()) prefix += "\"" + std::string(field) + "\": ";
    try {
        return body();
    } catch (const nb::python_error& e) {
        const std::string text = prefix + nb::cast<std::string>(nb::str(e.value()));
        if (e.matches(PyExc_TypeError)) throw nb::type_error(text.c_str());
        if (e.matches(PyExc_ValueError)) throw nb::value_error(text.c_str());
        throw;
    } catch (const nb::builtin_exception& e) {
        throw nb::type_error((prefix + e.what()).c_str());
    }
}

// 0, or Error: which one of several?
std::size_t the_only_field(const char* operation, std::string_view name, std::size_t count);

// A slot that is being filled; its views become read-only when it is published.
struct PyLoan {
    PyLoan(Loan taken, std::string_view stream)
        : loan(std::move(taken)), name(stream), views(loan->field_count()) {}
    std::optional<Loan> loan;
    std::string name;  // of the stream
    std::vector<nb::object> views;
    std::vector<nb::object> former;  // of shapes that were changed since
    std::optional<std::uint64_t> seq;

    Loan& get(const char* operation) {
        if (!loan || !loan->is_open()) {
            throw Error(Errc::closed, operation, name,
                        "this loan was published or discarded already; take another one");
        }
        return *loan;
    }
    nb::object view(std::size_t index) {
        Loan& l = get("array");
        if (!views[index].is_valid()) {
            views[index] = make_loan_view(l.field(index), l.memory(index));
        }
        return views[index];
    }
    nb::object array() { return view(the_only_field("array", name, get("array").field_count())); }
    nb::object item(std::string_view field) { return view(get("array").field_index(field)); }
    nb::object resize(nb::tuple shape, std::string_view field) {
        Loan& l = get("resize");
        l.resize(to_shape(shape), field);
        const std::size_t index = l.field_index(field);
        if (views[index].is_valid()) former.push_back(std::move(views[index]));
        views[index] = nb::object();
        return view(index);
    }
    void assign(std::size_t index, nb::handle value) {
        Loan& l = get("assign");
        const FieldView before = l.field(index);
        nb::object given =
            named("put", name, [&] { return as_field(value, *before.spec); }, l.field_name(index));
        const auto shape = shape_of(given);
        const bool same =
            std::equal(shape.begin(), shape.end(), before.shape.begin(), before.shape.end());
        const std::string label(l.field_name(index));
        if (!same && before.spec->maxshape.empty()) {
            Spec got = *before.spec;
            got.shape = shape;
            throw SpecMismatch("put", name, *before.spec, got);
        }
        if (!before.spec->maxshape.empty()) {
            if (views[index].is_valid()) former.push_back(std::move(views[index]));
            views[index] = nb::object();
            l.resize(shape, label);
        }
        const FieldView field = l.field(index);
        std::optional<WithoutGil> released;
        if (field.nbytes >= kReleaseGilBytes) released.emplace();
        std::memcpy(const_cast<std::byte*>(field.data), data_of(given), field.nbytes);
    }
    void assign_item(std::string_view field, nb::handle value) {
        assign(get("assign").field_index(field), value);
    }
    void finish(bool publish) {
        Loan& l = get("publish");
        // Whatever happens now, the memory is no longer the caller's to fill.
        // Taken out first: letting go of a view may give the GIL away, and another thread may ask
        // for one meanwhile.
        const auto gone = std::exchange(views, std::vector<nb::object>(l.field_count()));
        const auto gone_before = std::exchange(former, {});
        for (const auto* list : {&gone, &gone_before}) {
            for (const nb::object& view : *list) {
                if (view.is_valid()) make_readonly(view);
            }
        }
        if (!publish) {
            l.discard();
        } else {
            seq = l.publish();
        }
    }
};

void init_frames(nb::module_& m);

}  // namespace ndshare::python
