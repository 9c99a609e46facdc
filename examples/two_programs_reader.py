"""The other of two programs: opens by name what two_programs_writer.py made, and answers.

It was told no shape and no dtype: the memory describes itself.
Run it: python examples/two_programs_reader.py [NAME]
"""

import math
import sys

import ndshare

name = sys.argv[1] if len(sys.argv) > 1 else "two-programs"
with ndshare.open(name, writeable=True, timeout=60) as numbers:  # waits for the name to appear
    print(f"opened {numbers.name}: {numbers.dtype} {numbers.shape}", flush=True)
    # A new handle has read nothing: its first wait() returns at once if a question is there.
    while numbers.wait(timeout=60) is not None:
        question = numbers[0]
        if question < 0:
            break
        numbers[1] = math.sqrt(question)
        print(f"answered {question}", flush=True)
    else:
        sys.exit("no more questions came")
