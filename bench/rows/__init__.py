"""One module a row of the speed table, each has ROWS; those of scaling curves have CURVES."""

from curve import Curve
from row import Row

from rows import (
    attach,
    cold_start,
    consistent_read,
    count_curves,
    memory,
    round_trip,
    service,
    size_curves,
    stream_fan_out,
    stream_frames,
    stream_round_trip,
    stream_small,
)

ALL: tuple[Row, ...] = (
    *attach.ROWS,
    *round_trip.ROWS,
    *consistent_read.ROWS,
    *memory.ROWS,
    *stream_frames.ROWS,
    *stream_small.ROWS,
    *stream_round_trip.ROWS,
    *stream_fan_out.ROWS,
    *service.ROWS,
    *cold_start.ROWS,
)
CURVES: tuple[Curve, ...] = (*size_curves.CURVES, *count_curves.CURVES)
