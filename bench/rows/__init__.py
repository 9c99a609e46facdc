"""One module a row of the speed table; each has ROWS."""

from row import Row

from rows import (
    attach,
    consistent_read,
    memory,
    round_trip,
    service,
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
)
