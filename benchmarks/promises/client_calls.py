"""The client (client/): the same rows over HTTP, over a unix socket and in process; then calls with
a deadline on each of them while one worker is overloaded, and while the service stands still. How
late a call ends is wall-clock time; beside it stands what a thread is late that only sleeps.

    .venv/bin/python benchmarks/faults.py client_calls [--no-write]
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from bundles import tiny_bundle
from processes.product import command
from processes.servers import clean_environment, free_port, service, started
from results import verdict

sys.path.insert(0, str(Path(__file__).parents[2] / "client"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests/support"))  # whose rows are the tests'
from ctr_afm_client import Client, Prediction, Unavailable

from tiny import tiny_rows

ROWS, OF_A_CALL = 10_000, 500
THREADS, CALLS, ADS, TIMEOUT_MS = 16, 100, 100, 50.0
SHEDS: Any = {"AFM_MAX_WAIT_MS": "5"}  # the longest wait of a worker that is overloaded
STILL_CALLS = 60
LATE_MS = 20.0  # of a process that shares two cores with the service
Line = tuple[str, str, str]


def measure() -> list[Line]:
    """Try all three, over all transports where it applies."""
    with tempfile.TemporaryDirectory(prefix="afm-client-") as folder:
        home = Path(folder)
        bundle = tiny_bundle(home / "tiny")
        with service(home, bundle) as port, _at_a_socket(home) as (at_a_socket, _):
            url = f"http://127.0.0.1:{port}"
            lines = [_congruent([url, at_a_socket, str(bundle.directory)])]
        with service(home, bundle, **SHEDS) as port:
            lines += _shed("HTTP", f"http://127.0.0.1:{port}")
        with _stoppable(home) as (url, process):
            lines.append(_still("HTTP", url, process))
        with _at_a_socket(home, **SHEDS) as (at_a_socket, process):
            lines += _shed("a unix socket", at_a_socket)
            lines.append(_still("a unix socket", at_a_socket, process))
        os.environ |= SHEDS
        lines += _shed("in process", str(bundle.directory))
        return lines


def _congruent(addresses: list[str]) -> tuple[str, str, str]:
    rows = [{key: row[key] for key in row if key != "click"} for row in tiny_rows(ROWS, seed=6)]
    found = []
    for address in addresses:
        with Client(address, timeout_ms=60_000) as client:
            scores: list[float | None] = []
            for start in range(0, ROWS, OF_A_CALL):
                scores += client.predict(rows[start : start + OF_A_CALL]).scores
            explained = client.explain(rows[:100], top=None).explanations
            found.append((scores, explained))
    assert all(one == found[0] for one in found)
    return (
        f"{ROWS:,} rows over HTTP, a unix socket and in process; 100 explained",
        f"no bit differs in {len(found[0][0]):,} scores of each",
        "equal to the bit",
    )


def _shed(way: str, address: str) -> list[Line]:
    # more callers than the worker takes, each again at once
    rows = [{key: row[key] for key in row if key != "click"} for row in tiny_rows(ADS)]
    with Client(address, timeout_ms=TIMEOUT_MS, fallback=0.01) as client:
        client.predict(rows, timeout_ms=10_000)
        taken, slept, found = _calls(client, rows, CALLS)
        retries, sent = client.retries, client.sent
    shed = sum(isinstance(one.fault, Unavailable) for one in found)
    late = sum(one.fault is not None for one in found) - shed
    assert len(found) == THREADS * CALLS
    assert retries <= 0.1 * len(found)
    what = f"{way}: {THREADS} callers in a closed loop, {ADS} rows, {TIMEOUT_MS:g} ms, one worker "
    what += "that sheds"
    return [
        _lateness(what, taken, slept, TIMEOUT_MS),
        (
            f"{what}: retries",
            f"{retries / len(found):.3f} a call, {retries} of {sent:,} requests; {shed} calls were "
            f"shed, {late} late, each with fallbacks",
            "at most 10 % of the calls",
        ),
    ]


def _still(way: str, address: str, process: "subprocess.Popen[bytes]") -> Line:
    # a service whose process is stopped, as by a debugger or a machine out of memory
    rows: list[dict[str, object]] = [{"ad": "a1"}] * 20
    with Client(address, timeout_ms=TIMEOUT_MS, fallback=0.01) as client:
        client.predict(rows, timeout_ms=10_000)
        process.send_signal(signal.SIGSTOP)
        try:
            taken, slept, found = _calls(client, rows, STILL_CALLS)
        finally:
            process.send_signal(signal.SIGCONT)
        retries = client.retries
    assert all(one.fault is not None for one in found)
    assert retries <= 0.1 * len(found)
    what = f"{way}: {THREADS} callers, {TIMEOUT_MS:g} ms, a service that stands still"
    return _lateness(what, taken, slept, TIMEOUT_MS)


def _calls(
    client: Client, rows: list[dict[str, object]], calls: int
) -> tuple[list[float], list[float], list[Prediction]]:
    # milliseconds that each call took, those that a thread took which only sleeps as long as a
    # call may, and what each call gave
    taken: list[float] = []
    slept: list[float] = []
    found: list[Prediction] = []
    over = threading.Event()

    def ask() -> None:
        for _ in range(calls):
            begun = perf_counter()
            given = client.predict(rows)
            taken.append(1000 * (perf_counter() - begun))
            found.append(given)

    def sleep() -> None:
        while not over.is_set():
            begun = perf_counter()
            time.sleep(TIMEOUT_MS / 1000)
            slept.append(1000 * (perf_counter() - begun))

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    sleeper = threading.Thread(target=sleep)
    for thread in (sleeper, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    sleeper.join()
    return taken, slept, found


def _lateness(what: str, taken: list[float], slept: list[float], timeout_ms: float) -> Line:
    over = np.array(taken) - timeout_ms
    p50, p99 = np.quantile(over, (0.5, 0.99))
    figure = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, latest {over.max():.1f} ms; a thread that only "
    figure += f"sleeps as long: latest {max(slept) - timeout_ms:.1f} ms"
    promised = f"within {LATE_MS:g} ms of it"
    return (
        f"{what}: {len(taken):,} calls, their end after the deadline",
        figure,
        verdict(promised, bool(over.max() <= LATE_MS)),
    )


@contextmanager
def _stoppable(home: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    url = f"http://127.0.0.1:{(port := free_port())}"
    environment = clean_environment() | {"AFM_HOME": str(home / "afm")}
    serve = [*command("afm-serve"), "run", "--port", str(port)]
    with started(serve, environment, home / "log", f"{url}/readyz") as process:
        yield url, process


@contextmanager
def _at_a_socket(home: Path, **settings: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    address = f"unix:{home / 'afm.sock'}"
    environment = clean_environment() | {"AFM_HOME": str(home / "afm")} | settings
    with (home / "socket.log").open("wb") as log:
        process = subprocess.Popen(
            [*command("afm-serve"), "run", "--host", address],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 60
        with Client(address) as client:
            while not client.is_ready():
                assert process.poll() is None, (home / "socket.log").read_text()
                assert time.monotonic() < deadline, "the service at a socket does not start"
                time.sleep(0.1)
        yield address, process
    finally:
        process.terminate()
        process.wait(timeout=30)
