"""One module a row of the speed table; each has ROWS."""

from row import Row

from rows import attach, consistent_read, memory, round_trip

ALL: tuple[Row, ...] = (*attach.ROWS, *round_trip.ROWS, *consistent_read.ROWS, *memory.ROWS)
