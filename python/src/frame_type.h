// python/src/frame_type.h: ndshare.Frame's base type, and what keeps a frame for its views.
//
// Written for CPython itself, not bound like the other nouns: one of each is made and destroyed for
// every frame of a stream, and a bound instance costs several times what the frame does.
// REQUIRES everywhere: the GIL is held.
#pragma once
#include "convert.h"
#include "ndshare/ndshare.hpp"

namespace ndshare::python {

// Adds FrameHandle to the module.
void init_frame_type(nb::module_& m);
// The Python subclass that make_frame() makes instances of; without its __init__.
void set_frame_type(nb::object type);

// An ndshare.Frame.
nb::object make_frame(Frame frame);
// A read-only ndarray over one of the frame's fields; it keeps the frame by itself.
nb::object make_frame_view(const FieldView& field, Frame frame);

}  // namespace ndshare::python
