"""A service with many who take part, and for long: nothing is mixed up, nothing grows."""

from __future__ import annotations

from collections.abc import Callable

Script = Callable[..., str]


def test_128_clients_and_16_workers_come_and_go(script: Script) -> None:
    said = script("""
        import os, signal, ndshare

        SPECS = {"inputs": {"x": ((3,), "i8")}, "outputs": {"y": ((), "i8")}}

        def work(share):  # leaves after so many batches; another one comes
            with ndshare.Worker("crowd", **SPECS, retries=15) as worker:
                for number, batch in enumerate(worker.batches(4), 1):
                    batch.outputs["y"][:] = batch.inputs["x"].sum(axis=1)
                    if number == share:
                        batch.reply()
                        return

        def ask(me):
            clients = [ndshare.Client("crowd") for _ in range(8)]
            assert all(c.worker_count >= 0 for c in clients)  # attached
            os.write(here[1], b"x")
            os.read(go[0], 1)  # until all are there
            for k in range(10):
                calls = [c.submit((me, n, k), timeout=100) for n, c in enumerate(clients)]
                for n, call in enumerate(calls):
                    assert call.result() == me + n + k, (me, n, k)

        def start(job, argument):
            pid = os.fork()
            if pid:
                return pid
            try:
                job(argument)
                os._exit(0)
            except BaseException as error:
                print(type(error), error, flush=True)
                os._exit(1)

        here, go = os.pipe(), os.pipe()
        first = ndshare.Worker("crowd", **SPECS, retries=15)  # takes nothing: the service is there
        workers = {start(work, 20 + k) for k in range(16)}
        clients = {start(ask, me) for me in range(16)}
        there = 0
        while there < 16:
            there += len(os.read(here[0], 16))
        seen = ndshare.info("crowd").counters["clients"]
        os.write(go[1], b"x" * 16)
        while clients:
            pid, status = os.wait()
            assert status == 0, (pid, status)
            if pid in workers:
                workers.remove(pid)
                workers.add(start(work, 50))
            clients.discard(pid)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        print(seen, ndshare.info("crowd").counters["free"])
    """)
    seen, free = map(int, said.split())
    assert (seen, free) == (128, 64)


def test_many_calls_let_nothing_grow(script: Script) -> None:
    said = script("""
        import os, threading, ndshare

        SPECS = {"inputs": {"x": ((3,), "i8")}, "outputs": {"y": ((), "i8")}}
        pid = os.fork()
        if pid == 0:
            with ndshare.Worker("long", **SPECS, slots=4) as worker:
                worker.run(lambda x: x.sum(axis=1), max_batch_size=4)

        def look():
            with open("/proc/self/statm") as file:
                pages = int(file.read().split()[1])
            return len(os.listdir("/proc/self/fd")), pages

        def ask(count):
            for k in range(count):
                assert client((k, 1, 1), timeout=100) == k + 2
                if k % 7 == 0:
                    frame = client.submit((k, 0, 0), timeout=100).frame()
                    assert frame.array == k
                if k % 11 == 0:
                    client.submit((k, 0, 0), timeout=100)  # dropped

        client = ndshare.Client("long")
        ask(2000)
        files, pages = look()
        ask(100000)
        later = look()
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        assert later[0] == files, (files, later)
        assert later[1] - pages < 200, (pages, later)
    """)
    assert said == ""


def test_submitting_ahead_needs_no_slots_for_answers(script: Script) -> None:
    said = script("""
        import os, ndshare

        SPECS = {"inputs": {"x": ((3,), "i8")}, "outputs": {"y": ((), "i8")}}
        pid = os.fork()
        if pid == 0:
            with ndshare.Worker("ahead", **SPECS, slots=2) as worker:
                worker.run(lambda x: x.sum(axis=1), max_batch_size=2)

        # Two clients of one process: each keeps what the other one waits for.
        clients = [ndshare.Client("ahead"), ndshare.Client("ahead")]
        calls = [c.submit((k, n, 0), timeout=30) for k in range(500) for n, c in enumerate(clients)]
        dropped, cancelled, framed, *others = calls
        assert dropped.done()
        del dropped, calls[0]
        assert cancelled.done() and not cancelled.cancel()
        try:
            cancelled.result()
            raise SystemExit("an answer that was thrown away came")
        except ndshare.Closed:
            pass
        with framed.frame() as frame:
            assert frame.array == 1 and not frame.array.flags.writeable
        got = [int(call.result()) for call in others]
        assert got == [k + n for k in range(500) for n in range(2)][3:], got
        print(ndshare.info("ahead").counters["free"])
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    """)
    assert said.split() == ["2"]
