"""`make soak`: half an hour of mixed load on two workers: /predict by context and by whole rows, of
any number of candidates, /explain, cancelled requests, and swaps that recent requests judge. What
grows: memory, file descriptors, latency; and what is left to do in quiet.

The version swapped to is the same bundle under another name: it is loaded, judged and dropped like
any other, and judged no worse.

    .venv/bin/python benchmarks/soak.py [--minutes 30] [--no-write]
"""

import argparse
import itertools
import json
import random
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray
from processes.product import command, run
from processes.servers import busy, clean_environment, free_port, started
from results import circumstances, keep, say, table, verdict
from traffic.background import background
from traffic.load import Connection, request_bytes
from traffic.wide_requests import fitted, make_requests

RATE = 60.0  # requests a second; CANCELLED of them are not waited for
CANCELLED = 0.05
EXPLAINED = 0.05  # of the requests, of 1 or 10 candidates: a row costs a hundred times as much
WHOLE_ROWS = 0.2  # of the /predict requests, as `instances`
SWAP_SECONDS = 10.0
SAMPLE_SECONDS = 5.0
SETTLED = 0.2  # of the time, at its begin, in which caches fill
QUIET_SECONDS = 30.0
IDLE = 0.01  # of a core, at most
FILES = 10  # descriptors more or fewer, as callers come and go


class Sample(NamedTuple):
    """Both workers and their parent together, at a moment."""

    second: float
    bytes: int
    files: int
    latency: float  # the median of the requests since the last sample, in ms


def main() -> None:
    """Load, look, fit lines."""
    parser = argparse.ArgumentParser(description="Half an hour of mixed load.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--no-write", action="store_true", help="only print the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="afm-soak-") as folder:
        text = soaked(Path(folder), 60 * options.minutes)
    text += f"\n\n{options.minutes:g} minutes, {RATE:g} requests a second: {EXPLAINED:.0%} are "
    text += "/explain of 1 or 10 candidates, the others /predict of 1 to 500, of these "
    text += f"{WHOLE_ROWS:.0%} as whole rows; {CANCELLED:.0%} of all are cancelled. A swap every "
    text += f"{SWAP_SECONDS:g} s, to the same bundle under another name. "
    text += circumstances("uvicorn", "onnxruntime")
    print(text)
    if not options.no_write:
        keep("soak", text)


def soaked(home: Path, seconds: float) -> str:
    """The table.

    Raises:
        AssertionError: an answer other than 200, or 429 in overload.
    """
    bundle = fitted(home)
    requests = mixed(make_requests(home / "log.parquet", bundle))
    other = shutil.copytree(bundle.directory, home / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "version": "other"}))
    environment = clean_environment() | {"AFM_HOME": str(home / "afm")}
    port = free_port()
    for directory in (other, bundle.directory):
        run("afm-serve", "publish", "--force", str(directory), environment=environment)
    serve = [*command("afm-serve"), "run", "--port", str(port), "--workers", "2"]
    with started(serve, environment, home / "log", f"http://127.0.0.1:{port}/readyz") as process:
        parent = psutil.Process(process.pid)
        with loaded(port, requests) as (latencies, statuses):
            samples, swaps = [], 0
            begun = time.monotonic()
            while (second := time.monotonic() - begun) < seconds:
                if second > (swaps + 1) * SWAP_SECONDS:
                    wanted = "other" if swaps % 2 == 0 else bundle.version
                    run("afm-serve", "activate", wanted, environment=environment)
                    swaps += 1
                time.sleep(SAMPLE_SECONDS)
                seen, latencies[:] = list(latencies), []
                samples.append(sample(parent, second, seen))
                say(str(samples[-1]))
        time.sleep(5)
        idle = of_a_core(parent, QUIET_SECONDS)
    strange = statuses.keys() - {"200", "429", "cancelled"}
    assert not strange, statuses
    return figures(samples, seconds, statuses, swaps, (home / "log").read_text(), idle)


def figures(
    samples: list[Sample], seconds: float, statuses: Counter[str], swaps: int, log: str, idle: float
) -> str:
    """The table of a run's samples, answers and swaps, of the service's log, and of the share of a
    core that it takes without requests.
    """
    lives, refused = (log.count(f'"event": "version {what}"') for what in ("is live", "refused"))
    late = [one for one in samples if one.second >= SETTLED * seconds]
    at = np.array([one.second / 3600 for one in late])
    memory = slope(at, np.array([one.bytes / 2**20 for one in late]))
    latency = slope(at, np.array([one.latency for one in late]))
    files = [one.files for one in late]
    flat = max(files) - min(files) <= FILES
    lines: list[list[object]] = [
        [
            "answers",
            "200, or 429 in overload",
            ", ".join(f"{n:,} of {status}" for status, n in sorted(statuses.items())),
        ],
        [
            "swaps",
            "",
            f"{swaps} commands; a worker went live {lives - 2} times after its start and refused "
            f"{refused} times",
        ],
        ["memory, MiB an hour", verdict("0 within noise", memory.is_zero), memory],
        ["memory at the end, MiB", "", f"{late[-1].bytes / 2**20:.0f}"],
        ["median latency, ms an hour", verdict("0 within noise", latency.is_zero), latency],
        ["median latency at the end, ms", "", f"{late[-1].latency:.2f}"],
        [
            "file descriptors: first, last, fewest, most",
            verdict("flat", flat),
            f"{files[0]}, {files[-1]}, {min(files)}, {max(files)}",
        ],
        ["of a core when idle", verdict(f"under {IDLE:.0%}", idle < IDLE), f"{idle:.2%}"],
    ]
    return table(["what", "promised", "figure"], lines)


def mixed(by_size: dict[int, list[bytes]]) -> list[bytes]:
    """Requests of a context with candidates in the forms and shares of a soak."""
    chance = random.Random(1)
    some = [one for requests in by_size.values() for one in requests]
    small = [one for size, requests in by_size.items() if size <= 10 for one in requests]
    found = [as_instances(one) if chance.random() < WHOLE_ROWS else one for one in some]
    explained = round(EXPLAINED / (1 - EXPLAINED) * len(found))
    return found + [
        one.replace(b"POST /predict", b"POST /explain", 1)
        for one in chance.choices(small, k=explained)
    ]


def as_instances(request: bytes) -> bytes:
    """The same rows, each whole."""
    body = json.loads(request.partition(b"\r\n\r\n")[2])
    rows = [{**body["context"], **candidate} for candidate in body["candidates"]]
    return request_bytes("/predict", {"instances": rows})


def of_a_core(parent: psutil.Process, seconds: float) -> float:
    """What workers and parent use of one, over so many seconds."""
    family = [parent, *parent.children()]
    before, begun = busy(family), time.monotonic()
    time.sleep(seconds)
    return (busy(family) - before) / (time.monotonic() - begun)


def sample(parent: psutil.Process, second: float, latencies: list[float]) -> Sample:
    """As it is now."""
    family = [parent, *parent.children()]
    return Sample(
        second,
        sum(map(own_bytes, family)),
        sum(one.num_fds() for one in family),
        1000 * float(np.median(latencies)),
    )


def own_bytes(process: psutil.Process) -> int:
    """Memory that only it has, and its share of the weights that the workers map. The share that
    it has of libraries grows when a stranger who maps them too comes to an end.
    """
    return sum(
        one.pss if one.path.endswith("weights.bin") else one.private_clean + one.private_dirty
        for one in process.memory_maps()
    )


class Slope(NamedTuple):
    """Of a line through values, with an interval of 95 %."""

    value: float
    low: float
    high: float

    @property
    def is_zero(self) -> bool:
        """Whether 0 is within the interval."""
        return self.low <= 0 <= self.high

    def __str__(self) -> str:
        return f"{self.value:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def slope(at: NDArray[np.float64], values: NDArray[np.float64]) -> Slope:
    """The interval is from bootstrapped blocks of six, as neighbouring samples are alike."""
    rng = np.random.default_rng(1)
    blocks = np.array_split(np.arange(len(at)), max(len(at) // 6, 2))
    found = []
    for _ in range(1000):
        chosen = np.concatenate([blocks[i] for i in rng.integers(len(blocks), size=len(blocks))])
        found.append(np.polyfit(at[chosen], values[chosen], 1)[0])
    low, high = np.quantile(found, [0.025, 0.975])
    return Slope(float(np.polyfit(at, values, 1)[0]), float(low), float(high))


@contextmanager
def loaded(port: int, requests: list[bytes]) -> Iterator[tuple[list[float], Counter[str]]]:
    """Asked at RATE from four threads until the block ends; latencies in seconds, and answers.

    Raises:
        AssertionError: a request that was not answered.
    """
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    seeds = itertools.count()

    def ask(over: threading.Event) -> None:
        chance = random.Random(next(seeds))
        connection = Connection(port)
        while not over.wait(chance.expovariate(RATE / 4)):
            request = chance.choice(requests)
            if chance.random() < CANCELLED:
                with socket.create_connection(("127.0.0.1", port), 10) as gone:
                    gone.sendall(request)
                statuses["cancelled"] += 1
                continue
            began = time.perf_counter()
            connection.send(request)
            while connection.receive(any_status=True) is None:
                pass
            latencies.append(time.perf_counter() - began)
            statuses[str(connection.status)] += 1
        connection.close()

    with background(ask, threads=4):
        yield latencies, statuses


if __name__ == "__main__":
    main()
