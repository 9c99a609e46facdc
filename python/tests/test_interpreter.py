"""What the interpreter may do at any moment: run a callback inside ours, raise, or end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest

Script = Callable[..., str]
Failing = Callable[..., subprocess.CompletedProcess[str]]

FRAME = """
import gc, sys, threading, time, weakref
import numpy as np
import ndshare

publisher = ndshare.Publisher("inside", (7,), "f8")
subscriber = ndshare.Subscriber("inside")


def frame():
    publisher.put(np.arange(7.0))
    return subscriber.get()


"""


@pytest.mark.parametrize("inside", ["one.array", "one.close()"])
def test_a_callback_of_a_dying_view_meets_a_closed_frame(script: Script, inside: str) -> None:
    said = script(
        FRAME
        + f"""
for _ in range(2000):
    one = frame()
    met = []
    def callback(_):
        try:
            met.append({inside})
        except ndshare.Closed:
            met.append("closed")
    watch = weakref.ref(one.array, callback)
    one.close()
    assert met in (["closed"], [None]), met
    others = [np.arange(7) for _ in range(3)]
    assert one.closed
print("done")
"""
    )
    assert said == "done\n"


def test_threads_that_close_and_look_at_one_frame_get_closed(script: Script) -> None:
    said = script(
        FRAME
        + """
def look(one, seen):
    try:
        while True:
            seen.append(float(one.array[3]))
    except ndshare.Closed:
        pass


sys.setswitchinterval(1e-5)
for _ in range(200):
    publisher = ndshare.Publisher("many", (7,), "f8")
    subscriber = ndshare.Subscriber("many")
    publisher.put(np.arange(7.0))
    one = subscriber.get()
    subscriber.close(), publisher.close()
    seen = []
    threads = [threading.Thread(target=look, args=(one, seen)) for _ in range(2)]
    threads += [threading.Thread(target=one.close) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) <= {3.0}
print("done")
"""
    )
    assert said == "done\n"


def test_a_failure_while_an_error_is_made_is_an_exception(script: Script) -> None:
    said = script(
        FRAME
        + """
one = frame()
one.close()
met = set()


def deep():
    try:
        one.array
    except Exception as error:
        met.add(type(error).__name__)
    deep()


try:
    deep()
except RecursionError:
    print(sorted(met))
"""
    )
    assert said == "['Closed', 'RecursionError']\n"


@pytest.mark.parametrize("wait", ["subscriber.get(timeout=0.001)", "array.wait(timeout=0.001)"])
def test_a_daemon_thread_that_polls_lets_the_interpreter_end(
    failing_script: Failing, wait: str
) -> None:
    for _ in range(5):
        done = failing_script(
            FRAME
            + f"""
array = ndshare.create("polled", (3,))
array.wait(timeout=0)

def poll():
    while True:
        {wait}


for _ in range(3):
    threading.Thread(target=poll, daemon=True).start()
time.sleep(0.02)
"""
        )
        assert (done.returncode, done.stderr) == (0, ""), os.strerror(0) + str(
            signal.Signals(-done.returncode) if done.returncode < 0 else done.returncode
        )
