"""Three kinds of overload. Four times the load that one worker can take, at a constant rate
whatever it answers: how much is still answered, how late, how fast the rest is refused, and how
soon all is as before. Closed loops that ask again at once whatever they are answered: by raw
sockets, and by wrk where it is installed. Bursts of callers below the capacity.

The peak is the most that it answers by 200 over rising rates; N = 50 and 500 candidates.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from processes.servers import service
from results import say, verdict
from traffic.load import Answer, run_closed_load, run_counted_load, run_load
from traffic.wide_requests import fitted, make_requests

SIZES = (50, 500)
CONNECTIONS = 1024  # so many that one is always free: no request waits for its connection
STEPS = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4)  # of the requests a second of a closed loop
STEP_SECONDS = 3.0
KEPT_UP = 0.9  # of what was asked, answered by 200: with less, no higher rate is tried
FACTOR = 4
FLOOD_SECONDS = 8.0
CALM_SECONDS = 3.0
CALM = 0.5  # of the peak, after the flood
WARM_SECONDS = 2.0
LOOPS = (10, 25, 50, 100, 200)  # connections of a closed loop
LOOP_SECONDS = 3.0
ROUNDS = 3  # of all loops, in turn; of each, the middle one counts
SMALL = 1  # candidates of what loops and bursts ask
EVERY, SHARE = 0.1, 0.6  # seconds between bursts, each of so many callers that this is their share
BURST_SECONDS = 5.0


class Seen(NamedTuple):
    """What a constant rate came to: answers of 200 a second, and the latencies in seconds."""

    goodput: float
    p99: float
    refused: float
    refused_p50: float
    refused_p99: float


def measure() -> list[tuple[str, str, str]]:
    """What was done, and what came of it."""
    lines = []
    with tempfile.TemporaryDirectory(prefix="afm-overload-") as folder:
        home = Path(folder)
        bundle = fitted(home)
        requests = make_requests(home / "log.parquet", bundle)
        with service(home, bundle) as port:
            for size in SIZES:
                lines += flooded(port, size, requests[size])
            lines += looped(port, requests[SMALL], "raw sockets", run_closed_load)
            if shutil.which("wrk"):
                lines += looped(port, requests[SMALL], "wrk", wrk)
            else:
                say("no wrk here: apt-get install wrk")
            lines += burst(port, requests[SMALL])
    return lines


def looped(
    port: int,
    requests: list[bytes],
    generator: str,
    run: Callable[[int, list[bytes], int, float], dict[int, float]],
) -> list[tuple[str, str, str]]:
    """Closed loops of rising size."""
    found: dict[int, list[float]] = {connections: [] for connections in LOOPS}
    for _ in range(ROUNDS):  # side by side: the machine may be quicker at one time than at another
        for connections in LOOPS:
            statuses = run(port, requests, connections, LOOP_SECONDS)
            say(f"{generator}, {connections} connections: {statuses}")
            assert set(statuses) <= {200, 429}, f"answered by {set(statuses)}"
            found[connections].append(statuses.get(200, 0.0))
    goodput = {connections: float(np.median(rates)) for connections, rates in found.items()}
    least = min(goodput.values()) / max(goodput.values())
    sizes = " / ".join(map(str, LOOPS))
    rates = " / ".join(f"{rate:,.0f}" for rate in goodput.values())
    return [
        (
            f"closed loop of {generator}, {sizes} connections: answers of 200 a second",
            f"{rates}: at least {least:.0%} of the best",
            verdict("at least 90 %", least >= 0.9),
        )
    ]


def wrk(port: int, requests: list[bytes], connections: int, seconds: float) -> dict[int, float]:
    """The same as `run_closed_load`, by wrk, of the first of the requests."""
    body = requests[0].partition(b"\r\n\r\n")[2].decode()
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            f'wrk.method = "POST"\nwrk.body = [==[{body}]==]\n'
            'wrk.headers["content-type"] = "application/json"\n'
        )
        script.flush()
        run = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", script.name]
        run.append(f"http://127.0.0.1:{port}/predict")
        said = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+) requests in ([\d.]+)s", said)
    assert found is not None, said
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    others = int(refused[1]) if refused else 0
    took = float(found[2])
    return {200: (int(found[1]) - others) / took, 429: others / took}


def burst(port: int, requests: list[bytes]) -> list[tuple[str, str, str]]:
    """Callers that all ask at the same moment, again and again, below the capacity."""
    capacity = run_closed_load(port, requests, 10, LOOP_SECONDS)[200]
    callers = int(SHARE * EVERY * capacity)
    moments = np.repeat(np.arange(int(BURST_SECONDS / EVERY)) * EVERY, callers)
    answers = run_counted_load(port, requests, callers, moments)
    refused = sum(answer.status != 200 for answer in answers)
    longest = max(answer.latency for answer in answers)
    return [
        (
            f"{callers} callers that ask at once, every {1000 * EVERY:.0f} ms, "
            f"{SHARE:.0%} of the capacity: refused",
            f"{refused} of {len(answers):,}, the latest answer after {1000 * longest:.0f} ms",
            verdict("none", not refused),
        )
    ]


def flooded(port: int, size: int, requests: list[bytes]) -> list[tuple[str, str, str]]:
    """The peak for one number of candidates, and the flood."""
    closed = run_load(port, requests, 2, WARM_SECONDS).requests_per_second
    best = Seen(0, 0, 0, 0, 0)
    for step in STEPS:
        found = seen(run_counted_load(port, requests, CONNECTIONS, at(step * closed, STEP_SECONDS)))
        say(f"{step} of the closed loop: {found}")
        best = max(best, found)
        if found.goodput < KEPT_UP * step * closed:
            break
    flood = at(FACTOR * best.goodput, FLOOD_SECONDS)
    calm = FLOOD_SECONDS + at(CALM * best.goodput, CALM_SECONDS)
    answers = run_counted_load(port, requests, CONNECTIONS, np.concatenate([flood, calm]))
    during = seen([answer for answer in answers if answer.due < FLOOD_SECONDS])
    say(f"flood: {during}")
    late = [
        answer.due + answer.latency - FLOOD_SECONDS
        for answer in answers
        if answer.due >= FLOOD_SECONDS and (answer.status != 200 or answer.latency > best.p99)
    ]
    other = {answer.status for answer in answers} - {200, 429}
    assert not other, f"answered by {other}"
    what = f"{FACTOR} times the peak of {best.goodput:,.0f} requests/s, N = {size}"
    return [
        (
            f"{what}: answered",
            f"{during.goodput / best.goodput:.0%} of the peak",
            verdict("at least 90 %", during.goodput >= 0.9 * best.goodput),
        ),
        (
            f"{what}: p99 of what was answered",
            f"{1000 * during.p99:.1f} ms, {during.p99 / best.p99:.2f} of {1000 * best.p99:.1f} ms "
            "at the peak",
            verdict("at most 2x", during.p99 <= 2 * best.p99),
        ),
        (
            f"{what}: refused",
            f"{during.refused:.0%}, p50 {1000 * during.refused_p50:.1f} ms, "
            f"p99 {1000 * during.refused_p99:.1f} ms",
            "the rest, in a few ms",
        ),
        (
            f"{what}: last answer that was no 200, or later than the peak's p99, after it ended",
            f"{1000 * max(late, default=0.0):.0f} ms",
            verdict("within 1 s", max(late, default=0.0) <= 1),
        ),
    ]


def at(rate: float, seconds: float) -> np.ndarray:
    """When requests are due at a constant rate."""
    return np.arange(int(rate * seconds)) / rate


def seen(answers: Sequence[Answer]) -> Seen:
    """The figures of some answers."""
    good = np.array([answer.latency for answer in answers if answer.status == 200])
    refused = np.array([answer.latency for answer in answers if answer.status == 429])
    # to the last answer: what is answered long after it was due is no goodput of its second
    spent = max(a.due + a.latency for a in answers) - min(a.due for a in answers)
    p50, p99 = np.quantile(refused, (0.5, 0.99)) if len(refused) else (0.0, 0.0)
    return Seen(
        len(good) / spent, float(np.quantile(good, 0.99)), len(refused) / len(answers), p50, p99
    )
