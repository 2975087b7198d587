"""The client (client/): the same rows over HTTP, over a unix socket and in process; then calls with
a deadline while the service is overloaded, and while it stands still.
"""

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

import numpy as np
from bundles import tiny_bundle
from processes.product import command
from processes.servers import clean_environment, free_port, service, started
from results import verdict

sys.path.insert(0, str(Path(__file__).parents[2] / "client"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests/support"))  # whose rows are the tests'
from ctr_afm_client import Client, Prediction, Unavailable

from model.bundle.bundle import Bundle
from tiny import tiny_rows

ROWS, OF_A_CALL = 10_000, 500
THREADS, CALLS, TIMEOUT_MS = 16, 100, 20.0
STILL_SECONDS, STILL_TIMEOUT_MS = 3.0, 50.0
LATE_MS = 20.0  # of a process that shares two cores with the service


def measure() -> list[tuple[str, str, str]]:
    """Try all three."""
    with tempfile.TemporaryDirectory(prefix="afm-client-") as folder:
        home = Path(folder)
        bundle = tiny_bundle(home / "tiny")
        with service(home, bundle) as port, _at_a_socket(home) as at_a_socket:
            url = f"http://127.0.0.1:{port}"
            congruent = _congruent([url, at_a_socket, str(bundle.directory)])
        return [congruent, *_shed(home, bundle), _still(home)]


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


def _shed(home: Path, bundle: Bundle) -> list[tuple[str, str, str]]:
    # more callers than the worker takes, each again at once
    rows = [{key: row[key] for key in row if key != "click"} for row in tiny_rows(500)]
    with (
        service(home, bundle, AFM_MAX_WAIT_MS="5") as port,
        Client(f"http://127.0.0.1:{port}", timeout_ms=TIMEOUT_MS, fallback=0.01) as client,
    ):
        taken, found = _calls(client, rows, CALLS)
        retries, sent = client.retries, client.sent
    shed = sum(isinstance(one.fault, Unavailable) for one in found)
    late = sum(one.fault is not None for one in found) - shed
    assert len(found) == THREADS * CALLS
    assert retries <= 0.1 * len(found)
    what = f"{THREADS} callers in a closed loop, 500 rows, {TIMEOUT_MS:g} ms, a worker that sheds"
    return [
        _lateness(what, taken, TIMEOUT_MS),
        (
            f"{what}: retries",
            f"{retries} of {sent:,} requests; {shed} calls were shed, {late} late, each with "
            "fallbacks",
            "at most 10 % of the calls",
        ),
    ]


def _still(home: Path) -> tuple[str, str, str]:
    # a service whose process is stopped, as by a debugger or a machine out of memory
    port = free_port()
    environment = clean_environment() | {"AFM_HOME": str(home / "afm")}
    serve = [*command("afm-serve"), "run", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    rows: list[dict[str, object]] = [{"ad": "a1"}] * 20
    with (
        started(serve, environment, home / "log", f"{url}/readyz") as process,
        Client(url, timeout_ms=STILL_TIMEOUT_MS, fallback=0.01) as client,
    ):
        client.predict(rows)
        process.send_signal(signal.SIGSTOP)
        try:
            calls = int(STILL_SECONDS * 1000 / STILL_TIMEOUT_MS)
            taken, found = _calls(client, rows, calls)
        finally:
            process.send_signal(signal.SIGCONT)
    assert all(one.fault is not None for one in found)
    what = f"{THREADS} callers, {STILL_TIMEOUT_MS:g} ms, a service that stands still"
    return _lateness(what, taken, STILL_TIMEOUT_MS)


def _calls(
    client: Client, rows: list[dict[str, object]], calls: int
) -> tuple[list[float], list[Prediction]]:
    # milliseconds that each call took, and what it gave
    taken: list[float] = []
    found: list[Prediction] = []

    def ask() -> None:
        for _ in range(calls):
            begun = perf_counter()
            given = client.predict(rows)
            taken.append(1000 * (perf_counter() - begun))
            found.append(given)

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken, found


def _lateness(what: str, taken: list[float], timeout_ms: float) -> tuple[str, str, str]:
    over = np.array(taken) - timeout_ms
    p50, p99 = np.quantile(over, (0.5, 0.99))
    figure = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, latest {over.max():.1f} ms"
    promised = f"within {LATE_MS:g} ms of it"
    return (
        f"{what}: {len(taken):,} calls, their end after the deadline",
        figure,
        verdict(promised, bool(over.max() <= LATE_MS)),
    )


@contextmanager
def _at_a_socket(home: Path) -> Iterator[str]:
    address = f"unix:{home / 'afm.sock'}"
    environment = clean_environment() | {"AFM_HOME": str(home / "afm")}
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
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)
