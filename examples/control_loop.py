"""A control loop of a fixed rate that always takes the newest command, and never waits for one.

Commands come when they come: many at once, late, or not at all. `latest` passes over the old ones,
get(timeout=0) returns at once, and when they stay away for too long the loop stops the motor.
Run it: python examples/control_loop.py [NAME]
"""

import multiprocessing
import os
import sys
import time

import numpy as np

import ndshare

PERIOD = 0.002  # seconds
TOO_OLD = 0.05  # seconds after which a command counts no more
COMMAND = np.dtype([("speed", "f8"), ("is_last", "?")])


def controller(name: str) -> None:
    """The loop's process."""
    speed, steps, published = 0.0, 0, 0.0
    was_stopped = is_last = False
    with ndshare.Subscriber(name, latest=True) as commands:
        due = time.monotonic()
        while not (is_last and was_stopped):
            command = commands.get(timeout=0)
            if command is not None:
                with command:  # gives the slot back now, not when the next command comes
                    speed = float(command.array["speed"])
                    is_last = bool(command.array["is_last"])
                    published = time.monotonic() - command.age  # age needs no common clock
            elif speed and time.monotonic() - published > TOO_OLD:
                speed, was_stopped = 0.0, True  # nobody commands us any more: the safe thing
            steps += 1  # here the motor would be told the speed
            due += PERIOD  # from the plan, not from now: the rate does not drift
            time.sleep(max(0.0, due - time.monotonic()))
    print(f"stopped: {was_stopped}", flush=True)


def main() -> None:
    """Commands far faster than the loop takes them, then silence."""
    name = sys.argv[1] if len(sys.argv) > 1 else f"control-loop-{os.getpid()}"
    process = multiprocessing.get_context("spawn").Process(
        target=controller, args=(name,), daemon=True
    )
    process.start()
    # drop_oldest, the default: a commander never waits, whatever its readers do.
    with ndshare.Publisher(name, (), COMMAND, slots=4) as commander:
        if not commander.wait_subscribers(timeout=60):
            sys.exit("no controller came")
        for speed in range(1, 1001):
            commander.put(np.array((speed, speed == 1000), COMMAND))
        print(f"commanded: {speed}", flush=True)
        process.join()
    sys.exit(process.exitcode)


if __name__ == "__main__":
    main()
