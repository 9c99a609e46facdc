// python/src/numpy.h: NumPy's C API, in one place. nb::ndarray costs 380 ns a view and knows no
// structured dtypes; PyArray_NewFromDescr costs 60 to 90 ns.
// REQUIRES everywhere: the GIL is held.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "convert.h"

namespace ndshare::python {

void import_numpy();

// Python's bool or NumPy's.
bool is_bool(nb::handle object);

// numpy.dtype of a spec; cached, so that each text is parsed once.
nb::object dtype_of(const Spec& spec);

// A plain ndarray over memory, which lives as long as the ndarray or anything that views it.
nb::object make_view(const Spec& spec, std::shared_ptr<std::byte> memory, bool writeable);
// The same for a field of a slot; base is what keeps it.
nb::object make_view_over(const FieldView& field, nb::object base, bool writeable);
// The same for a field of a loan.
nb::object make_loan_view(const FieldView& field, std::shared_ptr<std::byte> memory);
// A new ndarray of the spec's dtype and this shape, C order, not filled.
nb::object make_empty(const Spec& spec, std::span<const std::int64_t> shape);
// A new ndarray of count rows of this shape.
nb::object make_rows(const Spec& spec, std::size_t count);
void make_readonly(nb::handle view);
// value as a C- (or F-) contiguous ndarray of the field's dtype, its own shape. Throws TypeError
// where its dtype would change kind.
nb::object as_field(nb::handle value, const Spec& spec);
std::vector<std::int64_t> shape_of(nb::handle array);
// An ndarray of exactly this dtype and shape, contiguous: its bytes can be copied as they are.
bool is_exactly(nb::handle value, nb::handle dtype, std::span<const std::int64_t> shape,
                Order order);
// An ndarray of its own, same dtype, shape and order as view.
nb::object make_like(nb::handle view);
std::byte* data_of(nb::handle array);
std::size_t nbytes_of(nb::handle array);
// Own data, no view of anything: selections that are views (and structured scalars, which are too)
// are copied, the others passed through.
nb::object detach(nb::object selection);
// Does key select fields of a structured view? Then the values take the fields' dtype.
bool names_fields(nb::handle key, nb::handle view);
// value as something whose assignment can fail only before a byte is stored.
nb::object prepare_value(nb::handle value, nb::handle view);
// Throws ValueError, as NumPy would, when value cannot be spread over target's shape.
void require_broadcast(nb::handle value, nb::handle target);
// Can out take the array's bytes in one piece? Throws TypeError or ValueError when it cannot take
// them at all.
bool takes_bytes(nb::handle out, nb::handle view);
void copy_into(nb::handle out, nb::handle view);

}  // namespace ndshare::python
