"""What a frame can hold: fields, shapes that vary, every dtype, objects; and refs to frames."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from children import PeerMaker
from frames import CAMERA, frame_of

import ndshare

# ---- fields, shapes, objects --------------------------------------------------------------------


def test_fields_are_one_frame_and_shapes_vary_within_maxshape() -> None:
    fields = {"boxes": ndshare.Spec(maxshape=(300, 6), dtype="f4"), "frame": ((2,), "u8")}
    with ndshare.Publisher("det", fields=fields) as pub, ndshare.Subscriber("det") as sub:
        assert pub.spec == sub.spec == {"boxes": fields["boxes"], "frame": ndshare.Spec(2, "u8")}
        for count in (17, 0, 300):
            pub.put({"boxes": np.full((count, 6), count), "frame": (1, count)})
            frame = sub.get(1)
            assert frame["boxes"].shape == (count, 6)
            assert (frame["boxes"] == count).all()
            assert frame["frame"].tolist() == [1, count]
        with pub.loan() as loan:
            boxes = loan.resize((2, 6), "boxes")
            boxes[:] = 5
            loan["frame"] = (3, 4)
            loan["boxes"] = np.ones((4, 6))
        assert sub.get(1)["boxes"].shape == (4, 6)
        with pytest.raises(ValueError, match="several fields"):
            _ = frame.array


def test_any_axis_may_vary_and_fortran_order_is_kept() -> None:
    spec = ndshare.Spec(maxshape=(4, 3, 5), dtype="i2", order="F")
    with ndshare.Publisher("f", fields={"x": spec}) as pub, ndshare.Subscriber("f") as sub:
        for shape in ((4, 3, 5), (1, 3, 2), (4, 0, 5)):
            given = np.arange(np.prod(shape), dtype="i2").reshape(shape)
            pub.put({"x": given})
            got = sub.get(1)["x"]
            assert np.array_equal(got, given)
            assert got.flags.f_contiguous


@pytest.mark.parametrize(
    "dtype",
    ["?", ">i4", "c16", "M8[ns]", "S7", "U3", [("a", "f4"), ("b", "i2", (3,))], "bfloat16"],
    ids=str,
)
def test_dtypes(dtype: Any) -> None:
    made = ndshare.Spec((2, 3), dtype)
    with ndshare.Publisher("d", (2, 3), dtype) as pub, ndshare.Subscriber("d") as sub:
        given = np.zeros((2, 3), made.dtype)
        given.reshape(-1).view("u1")[:] = 1
        pub.put(given)
        got = sub.get(1).array
        assert got.dtype == made.dtype
        assert got.tobytes() == given.tobytes()


def test_scalars_and_empty_frames() -> None:
    with ndshare.Publisher("s", (), "f8") as pub, ndshare.Subscriber("s") as sub:
        pub.put(2.5)
        pub.put(np.float64(3))
        assert [float(sub.get(1).array), float(sub.get(1).array)] == [2.5, 3]
    with ndshare.Publisher("e", (0, 4), "f8") as pub, ndshare.Subscriber("e") as sub:
        pub.put(np.zeros((0, 4)))
        assert sub.get(1).array.shape == (0, 4)


def test_objects_are_pickled_with_their_arrays_out_of_band() -> None:
    with (
        ndshare.Publisher("o", dtype=object, max_nbytes=100_000, overflow="block") as pub,
        ndshare.Subscriber("o") as sub,
    ):
        big = np.arange(5000, dtype="f8")
        for value in ({"a": big, "b": [1, None, "x"]}, None, 5, "text", (big, big[:3])):
            pub.put(value)
            frame = sub.get(1)
            got = frame.value
            assert repr(got) == repr(value)
        array = got[0]
        assert not array.flags.writeable
        frame.close()
        del frame, got
        for _ in range(20):
            pub.put(0)
            sub.get(1).close()
        assert (array == big).all()
        with pytest.raises(ValueError, match=r"takes \d+ bytes.*max_nbytes"):
            pub.put(np.zeros(20_000))
        with ndshare.Publisher("p", 2, "f4") as plain, ndshare.Subscriber("p") as other:
            plain.put([1, 2])
            with pytest.raises(TypeError, match=r"frame\.array"):
                _ = other.get(1).value
        assert sub.lost == 0


# ---- refs ---------------------------------------------------------------------------------------


def test_a_ref_leads_to_exactly_that_frame_or_says_why_not(peer: PeerMaker) -> None:
    pub = ndshare.Publisher("cam", **CAMERA, slots=4)
    sub = ndshare.Subscriber("cam")
    seqs = [pub.put(frame_of(k)) for k in range(4)]
    frame = sub.get(1)
    ref = frame.ref
    assert ref == ndshare.FrameRef("cam", pub.generation, seqs[0])
    again = ndshare.FrameRef(*json.loads(json.dumps(ref)))
    assert (again.get().array == frame.array).all()
    assert again.get().ref == ref
    other = peer()
    assert other.get(f"ndshare.FrameRef(*{tuple(ref)!r}).get().array.tolist()") == [[0] * 5] * 4
    one, two = ref.get(), ref.get()
    one.close()
    assert (two.array == 0).all()
    frame.close()
    del frame
    two.close()
    sub.close()
    for k in range(4, 9):
        pub.put(frame_of(k))
    with pytest.raises(ndshare.Overwritten, match="overwritten"):
        ref.get()
    with pytest.raises(ndshare.NotFound, match="not published yet"):
        ref._replace(seq=(seqs[0] or 0) + 100).get()
    with pytest.raises(ndshare.Overwritten, match="generation"):
        ref._replace(generation=1).get()
    pub.close()
    with pytest.raises(ndshare.NotFound, match="gone"):
        ref.get()
