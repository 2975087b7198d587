"""`make soak`: half an hour of mixed load on two workers: swaps, cancelled requests and any number
of candidates. What grows: memory, file descriptors, latency; and what is left to do in quiet.

    .venv/bin/python benchmarks/soak.py [--minutes 30] [--no-write]
"""

import argparse
import json
import random
import shutil
import socket
import subprocess
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
from load import Connection
from numpy.typing import NDArray
from results import circumstances, keep, say, table
from serve import fitted, make_requests
from servers import clean_environment, command, free_port, started

RATE = 60.0  # requests a second; CANCELLED of them are not waited for
CANCELLED = 0.05
SWAP_SECONDS = 10.0
SAMPLE_SECONDS = 5.0
SETTLED = 0.2  # of the time, at its begin, in which caches fill
QUIET_SECONDS = 30.0


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
    parser.add_argument("--no-write", action="store_true", help="leave benchmarks/README.md alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="afm-soak-") as folder:
        text = soaked(Path(folder), 60 * options.minutes)
    text += f"\n\n{options.minutes:g} minutes, {RATE:g} requests a second of 1 to 500 candidates, "
    text += f"{CANCELLED:.0%} cancelled, a swap every {SWAP_SECONDS:g} s. "
    text += circumstances("uvicorn", "onnxruntime")
    print(text)
    if not options.no_write:
        keep("soak", text)


def soaked(home: Path, seconds: float) -> str:
    """The table."""
    bundle = fitted(home)
    requests = [
        one for some in make_requests(home / "log.parquet", bundle).values() for one in some
    ]
    other = shutil.copytree(bundle.directory, home / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "version": "other"}))
    environment = clean_environment() | {"AFM_HOME": str(home / "afm")}
    serve, port = command("afm-serve"), free_port()

    def swap(*arguments: str) -> None:
        quiet = {"env": environment, "stdout": subprocess.DEVNULL}
        subprocess.run([*serve, *arguments], check=True, **quiet)

    for directory in (other, bundle.directory):
        swap("publish", "--force", str(directory))
    run = [*serve, "run", "--port", str(port), "--workers", "2"]
    with started(run, environment, home / "log", f"http://127.0.0.1:{port}/readyz"):
        with loaded(port, requests) as (latencies, statuses):
            parent = psutil.Process().children()[-1]
            samples, swaps = [], 0
            begun = time.monotonic()
            while (second := time.monotonic() - begun) < seconds:
                if second > (swaps + 1) * SWAP_SECONDS:
                    swap("activate", "other" if swaps % 2 == 0 else bundle.version)
                    swaps += 1
                time.sleep(SAMPLE_SECONDS)
                seen, latencies[:] = list(latencies), []
                samples.append(sample(parent, second, seen))
                say(str(samples[-1]))
        time.sleep(5)
        family = [parent, *parent.children()]
        busy = sum(sum(one.cpu_times()[:2]) for one in family)
        time.sleep(QUIET_SECONDS)
        idle = (sum(sum(one.cpu_times()[:2]) for one in family) - busy) / QUIET_SECONDS
    late = [one for one in samples if one.second >= SETTLED * seconds]
    at = np.array([one.second / 3600 for one in late])
    lines: list[list[object]] = [
        ["answers", ", ".join(f"{n:,} of {status}" for status, n in sorted(statuses.items()))],
        ["swaps", swaps],
        ["memory, MiB an hour", slope(at, np.array([one.bytes / 2**20 for one in late]))],
        ["memory at the end, MiB", f"{late[-1].bytes / 2**20:.0f}"],
        ["median latency, ms an hour", slope(at, np.array([one.latency for one in late]))],
        ["median latency at the end, ms", f"{late[-1].latency:.2f}"],
        ["file descriptors, first and last", f"{late[0].files}, {late[-1].files}"],
        ["of a core when idle", f"{idle:.2%}"],
    ]
    return table(["what", "figure"], lines)


def sample(parent: psutil.Process, second: float, latencies: list[float]) -> Sample:
    """As it is now."""
    family = [parent, *parent.children()]
    return Sample(
        second,
        sum(one.memory_full_info().pss for one in family),
        sum(one.num_fds() for one in family),
        1000 * float(np.median(latencies)),
    )


def slope(at: NDArray[np.float64], values: NDArray[np.float64]) -> str:
    """Of a line through the values, with an interval of 95 % from bootstrapped blocks of six, as
    neighbouring samples are alike.
    """
    rng = np.random.default_rng(1)
    blocks = np.array_split(np.arange(len(at)), max(len(at) // 6, 2))
    found = []
    for _ in range(1000):
        chosen = np.concatenate([blocks[i] for i in rng.integers(len(blocks), size=len(blocks))])
        found.append(np.polyfit(at[chosen], values[chosen], 1)[0])
    low, high = np.quantile(found, [0.025, 0.975])
    return f"{np.polyfit(at, values, 1)[0]:+.2f} ({low:+.2f} to {high:+.2f})"


@contextmanager
def loaded(port: int, requests: list[bytes]) -> Iterator[tuple[list[float], Counter[str]]]:
    """Asked at RATE from four threads until the block ends; latencies in seconds, and answers."""
    over = threading.Event()
    latencies: list[float] = []
    statuses: Counter[str] = Counter()

    def work(seed: int) -> None:
        chance = random.Random(seed)
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

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield latencies, statuses
    finally:
        over.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
