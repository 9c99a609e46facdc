"""Two programs that nobody started together: this one asks, two_programs_reader.py answers.

Run it: python examples/two_programs_writer.py [NAME]    and, in another terminal, before or after:
        python examples/two_programs_reader.py [NAME]
"""

import math
import sys

import ndshare

NO_MORE = -1.0

name = sys.argv[1] if len(sys.argv) > 1 else "two-programs"
with ndshare.create(name, shape=(2,), dtype="float64") as numbers:
    for question in (2.0, 9.0, 10.0):
        numbers[:] = question, math.nan  # one complete write: the other sees both or neither
        # Asked, then wait(): so this is the answer, however fast it came.
        if numbers.wait(timeout=60) is None:
            sys.exit(f'nobody answered: start two_programs_reader.py "{name}"')
        print(f"the root of {question} is {numbers[1]}", flush=True)
    numbers[:] = NO_MORE, math.nan
    numbers.unlink()  # the reader keeps the memory until it has read this
