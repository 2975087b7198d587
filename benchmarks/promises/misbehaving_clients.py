"""A neighbour at a constant rate beside callers that cancel, reset, trickle and never read; then a
worker of two killed by SIGKILL, and a stop by SIGTERM, both under keep-alive load.
"""

import json
import multiprocessing
import random
import signal
import socket
import struct
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from processes.servers import service
from results import verdict
from traffic.load import Connection, request_bytes, run_counted_load
from traffic.wide_requests import fitted, make_requests

RATE, SECONDS = 200.0, 10.0  # of the neighbour
BAD = 8  # callers at once
CONNECTIONS = 16


def measure() -> list[tuple[str, str, str]]:
    """What was done, and what came of it."""
    with tempfile.TemporaryDirectory(prefix="afm-clients-") as folder:
        home = Path(folder)
        bundle = fitted(home)
        requests = make_requests(home / "log.parquet", bundle)[50]
        with service(home, bundle) as port:
            lines = [beside(port, requests, name) for name in BAD_CALLERS]
        # a worker that is left alone has all the load: what it makes of that is overload's
        with service(home / "killed", bundle, workers=2, AFM_MAX_WAIT_MS="10000") as port:
            lines.append(killed(port, requests))
        with service(home / "stopped", bundle, workers=2, AFM_MAX_WAIT_MS="10000") as port:
            lines.append(stopped(port, requests))
        return lines


def beside(port: int, requests: list[bytes], name: str) -> tuple[str, str, str]:
    """The neighbour's latency alone, beside bad callers, and beside as many that ask as much and
    take it; no answer of it is lost or wrong.
    """
    connection = Connection(port)
    right = [connection.ask(request) for request in requests]
    connection.close()
    alone = p99(port, requests, right)
    with repeated(BAD_CALLERS[name], port, requests) as done:
        found = p99(port, requests, right)
    text = (
        f"neighbour: all 200 and right, p99 {1000 * found:.2f} ms, "
        f"{found / alone:.1f} times that alone"
    )
    if good := AS_GOOD_ONES.get(name):
        with repeated(good, port, requests):
            text += f"; {1000 * p99(port, requests, right):.2f} ms beside callers that take as much"
    return (
        f"{done.value:,} callers that {name}",
        text,
        verdict("all right, p99 left alone (1.5x)", found <= 1.5 * alone),
    )


def p99(port: int, requests: list[bytes], right: list[Any]) -> float:
    """Of the neighbour's latencies, in seconds; each answer is the `right` one of its request."""
    due = np.arange(int(RATE * SECONDS)) / RATE
    answers = run_counted_load(port, requests, CONNECTIONS, due, keep=True)
    lost = Counter(answer.status for answer in answers if answer.status != 200)
    assert not lost, lost
    assert len(answers) == len(due)
    for answer in answers:
        number = round(answer.due * RATE)
        body, wanted = json.loads(answer.body), right[number % len(requests)]
        assert body["version"] == wanted["version"]
        # one graph or the other, as ads are known or not: the last bits may differ
        assert np.allclose(body["probabilities"], wanted["probabilities"], rtol=0, atol=1e-6)
    return float(np.quantile([answer.latency for answer in answers], 0.99))


@contextmanager
def repeated(call: Callable[[int, bytes], None], port: int, requests: list[bytes]) -> Iterator[Any]:
    """Called again and again by BAD threads until the block ends; yields how often so far. They are
    in a process of their own: in the one that measures they would delay what it sees.
    """
    forks = multiprocessing.get_context("fork")
    over, done = forks.Event(), forks.Value("q", 0)

    def work() -> None:
        while not over.wait(0.02):
            call(port, random.choice(requests))
            with done.get_lock():
                done.value += 1

    def run() -> None:
        threads = [threading.Thread(target=work) for _ in range(BAD)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    process = forks.Process(target=run)
    process.start()
    try:
        yield done
    finally:
        over.set()
        process.join()


def cancel(port: int, request: bytes) -> None:
    """Send a request whole, and go away before the answer."""
    with connected(port) as caller:
        caller.sendall(request)


def reset(port: int, request: bytes) -> None:
    """Send a part of a request, and reset the connection."""
    with connected(port) as caller:
        caller.sendall(request[: random.randrange(1, len(request))])
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def trickle(port: int, request: bytes) -> None:
    """Send a byte at a time."""
    with connected(port) as caller:
        for place in range(100):
            caller.sendall(request[place : place + 1])
            time.sleep(0.005)


def read_nothing(port: int, request: bytes) -> None:
    """Ask for large answers and read none of them."""
    explain = request.replace(b"/predict", b"/explain", 1)
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.connect(("127.0.0.1", port))
        caller.sendall(explain)
        time.sleep(1)


def wait(port: int, request: bytes) -> None:
    """Send a request whole, read the answer, and go away."""
    with connected(port) as caller:
        caller.sendall(request.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
        while caller.recv(1 << 18):
            pass


def wait_for_explanations(port: int, request: bytes) -> None:
    """Ask for large answers, read them, and do no more than those that read nothing."""
    began = time.monotonic()
    wait(port, request.replace(b"/predict", b"/explain", 1))
    time.sleep(max(0.0, 1 - (time.monotonic() - began)))


BAD_CALLERS = {
    "cancel": cancel,
    "reset within a request": reset,
    "trickle": trickle,
    "never read": read_nothing,
}
AS_GOOD_ONES = {"cancel": wait, "never read": wait_for_explanations}


def connected(port: int) -> socket.socket:
    """A connection of one bad caller."""
    return socket.create_connection(("127.0.0.1", port), 10)


def keep_asking(
    port: int, requests: list[bytes], connections: int, over: threading.Event
) -> tuple[list[threading.Thread], list[str]]:
    """Threads that ask over one connection each, a new one whenever it has ended; and what was
    lost: sent, and not answered by 200.
    """
    lost: list[str] = []

    def work() -> None:
        connection = None
        while not over.is_set():
            try:
                connection = connection or Connection(port)
            except OSError:
                return  # nobody listens any more
            try:
                connection.ask(random.choice(requests))
            except (RuntimeError, OSError) as error:
                if over.is_set():
                    return
                lost.append(repr(error))
                connection.close()
                connection = None

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    return threads, lost


def killed(port: int, requests: list[bytes]) -> tuple[str, str, str]:
    """One of two workers, under load: how many requests were lost, and how soon there are two."""
    over = threading.Event()
    threads, lost = keep_asking(port, requests, CONNECTIONS, over)
    time.sleep(2)
    workers = listening(port)
    victim = max(workers, key=lambda one: one.create_time())
    open_there = sum(1 for one in victim.net_connections("tcp") if one.status == "ESTABLISHED")
    victim.kill()
    began = time.monotonic()
    known = {one.pid for one in workers}
    while not {one.pid for one in listening(port)} - known:
        assert time.monotonic() - began < 30
        time.sleep(0.05)
    replaced = time.monotonic() - began
    time.sleep(2)
    over.set()
    for thread in threads:
        thread.join()
    assert len(lost) <= open_there, (lost, open_there)
    return (
        f"kill -9 of one of two workers, {CONNECTIONS} connections",
        f"{len(lost)} requests lost of the {open_there} connections that it had; "
        f"replaced after {replaced:.1f} s",
        "none but those in flight, replaced",
    )


def stopped(port: int, requests: list[bytes]) -> tuple[str, str, str]:
    """SIGTERM under load, with connections opened and nothing sent: no request taken is lost."""
    over = threading.Event()
    answered, faults = [0], list[str]()

    def work() -> None:
        with connected(port) as caller:
            while not over.is_set():
                try:
                    caller.sendall(random.choice(requests))
                    head = b""
                    while b"\r\n\r\n" not in head or not head.endswith(b"}"):
                        part = caller.recv(1 << 18)
                        if not part:
                            raise ConnectionError("closed without an answer")
                        head += part
                except OSError as error:
                    faults.append(repr(error))
                    return
                answered[0] += 1
                if b"connection: close" in head.lower():
                    return

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    unsent = [connected(port) for _ in range(50)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    parent = listening(port)[0].parent()
    assert parent is not None
    began = time.monotonic()
    parent.send_signal(signal.SIGTERM)
    for caller in unsent[:25]:  # sent while it drains
        caller.sendall(request_bytes("/predict", {"instances": [{"strange": 1}]}))
        assert caller.recv(1 << 16).startswith(b"HTTP/1.1 422")
    for thread in threads:
        thread.join()
    ended = [caller.recv(1) for caller in unsent[25:]]
    seconds = time.monotonic() - began
    for caller in unsent:
        caller.close()
    assert not faults, faults
    assert set(ended) == {b""}, "a reset"
    return (
        f"SIGTERM, {CONNECTIONS} connections asking, 50 opened and unsent",
        f"0 of {answered[0]:,} requests lost, 25 sent late answered; ended after {seconds:.1f} s",
        "no request taken is lost",
    )


def listening(port: int) -> list[psutil.Process]:
    """The processes that answer on a port: workers, not the parent that holds their socket."""
    found = []
    for one in psutil.process_iter(["cmdline"]):
        try:
            listens = any(
                c.status == psutil.CONN_LISTEN and c.laddr.port == port
                for c in one.net_connections("tcp")
            )
            if listens and "spawn_main" in " ".join(one.info["cmdline"] or ()):
                found.append(one)
        except psutil.Error:
            continue
    return found
