"""`make bench`: the service beside a naive service, side by side in one run.

Both score the same rows with the same weights, one worker each, over loopback; before any figure
their answers are checked to be equal. 39 fields, 30 of the context and 9 of the ads; K = T = 16.
The tables go into benchmarks/README.md.

    .venv/bin/python benchmarks/serve.py [--rounds 5] [--seconds 1.0] [--no-write]
"""

import argparse
import importlib
import os
import tempfile
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import psutil
from processes.servers import busy, echo, naive_service, service
from results import circumstances, keep, say, table
from traffic.load import Connection, run_load, run_open_load
from traffic.measured import Measured, middle, ms, timed
from traffic.wide_requests import CANDIDATES, bare_calls, fitted, make_requests

from model.bundle.bundle import Bundle
from service.limits import CacheLimits
from service.scoring.ad_cache import AdCache
from service.scoring.payloads import PayloadDecoder

CONNECTIONS = (1, 4)
OPEN_RATES = (0.25, 0.5, 0.75)  # of the requests a second of the closed loop
OPEN_CANDIDATES = 50
OPEN_CONNECTIONS = 32
WORKER_CANDIDATES = (50, 500)
TOLERANCE = 1e-5
PATIENT: dict[str, Any] = {
    "AFM_MAX_WAIT_MS": "10000"
}  # what overload comes to is measured elsewhere
STALL_SECONDS = 0.035
STAGES = ("decode", "encode", "score", "write")


def main() -> None:
    """Run the benchmark and write its tables."""
    parser = argparse.ArgumentParser(description="The service beside a naive service.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one cell in one round")
    parser.add_argument("--no-write", action="store_true", help="only print the table")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afm-bench-")))
        say("fitting a model for it")
        bundle = fitted(home)
        requests = make_requests(home / "log.parquet", bundle)
        bare = bare_calls(bundle, requests)
        say(f"starting the servers, on version {bundle.version}")
        ports = {
            "service": stack.enter_context(service(home, bundle, **PATIENT)),
            "naive": stack.enter_context(naive_service(home, bundle)),
            "echo": stack.enter_context(echo(home)),
        }
        worst = largest_difference(ports, requests)
        say(f"answers equal: they differ by {worst:.1g} at most")
        measured = Measured(options.rounds, options.seconds)
        sections = [
            closed(ports, requests, bare, measured),
            stages(ports["service"], requests, measured),
            parsing(bundle, requests, options.rounds),
            opened(ports, requests, measured),
        ]
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afm-bench-")))
        bundle = fitted(home)
        sections.append(
            workers(home, bundle, make_requests(home / "log.parquet", bundle), measured)
        )
    where = circumstances("onnxruntime", "uvicorn", "fastapi")
    sections.append(
        f"{where} Medians of {options.rounds} rounds of {options.seconds:g} s a cell, the servers "
        f"in turn; answers equal to {max(worst, 1e-9):.1g}. The load generator took "
        f"{measured.busiest:.0%} of a core at most in the closed loop."
    )
    text = "\n\n".join(sections)
    print(text)
    if not options.no_write:
        keep("bench", text)


def largest_difference(ports: dict[str, int], requests: dict[int, list[bytes]]) -> float:
    """Ask both servers everything once; ends the benchmark where answers are not equal."""
    connections = [Connection(ports[name]) for name in ("service", "naive")]
    worst = 0.0
    for size, bodies in requests.items():
        for body in bodies:
            ours, theirs = (np.array(c.ask(body)["probabilities"]) for c in connections)
            assert ours.shape == theirs.shape == (size,), "not one probability a candidate"
            worst = max(worst, float(np.abs(ours - theirs).max()))
    for connection in connections:
        connection.close()
    assert worst <= TOLERANCE, f"answers differ by {worst:.2g}: there is nothing to compare"
    return worst


def closed(
    ports: dict[str, int],
    requests: dict[int, list[bytes]],
    bare: dict[int, Callable[[], float]],
    measured: Measured,
) -> str:
    """The closed loop, with the bare call of the same graph beside it."""
    lines: list[list[object]] = []
    for connections in CONNECTIONS:
        for size in CANDIDATES:
            found = measured.closed(ports, requests[size], connections)
            call = median(bare[size]() for _ in range(measured.rounds))
            ours, theirs, least = (found[name] for name in ("service", "naive", "echo"))
            lines.append(
                [
                    *(connections, size),
                    f"{size * ours.requests_per_second:,.0f}",
                    *(ms(ours.p50), ms(ours.p99)),
                    f"{size * theirs.requests_per_second:,.0f}",
                    *(ms(theirs.p50), ms(theirs.p99)),
                    f"**{ours.requests_per_second / theirs.requests_per_second:.1f}**",
                    ms(call),
                    f"{call * ours.requests_per_second:.0%}",
                    f"{ours.p50 / call:.2f}",
                    ms(least.p50),
                    f"{ours.p50 / least.p50:.1f}",
                ]
            )
            say(" | ".join(map(str, lines[-1])))
    head = ["connections", "candidates", "service rows/s", "p50 ms", "p99 ms"]
    head += ["naive rows/s", "p50 ms", "p99 ms", "ratio of rows/s", "bare call ms"]
    head += ["rows/s of the bare call's", "p50 / bare call", "echo p50 ms", "p50 / echo"]
    return "Closed loop, one worker each:\n\n" + table(head, lines)


def stages(port: int, requests: dict[int, list[bytes]], measured: Measured) -> str:
    """What one request takes in each stage, by the service's own metrics."""
    lines: list[list[object]] = []
    for size, bodies in requests.items():
        before = stage_sums(port)
        run = run_load(port, bodies, 1, measured.seconds)
        after = stage_sums(port)
        spent = [
            (after[f"{stage}_sum"] - before[f"{stage}_sum"])
            / (after[f"{stage}_count"] - before[f"{stage}_count"])
            for stage in STAGES
        ]
        rest = run.p50 - sum(spent)
        lines.append([size, *(f"{1e6 * part:.0f}" for part in (*spent, rest))])
    head = ["candidates", *STAGES, "HTTP, both ends"]
    return "Microseconds of a request by stage (one connection, ads known):\n\n" + table(
        head, lines
    )


def stage_sums(port: int) -> dict[str, float]:
    """Seconds and counts of each stage so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = {}
    for line in text.splitlines():
        for stage in STAGES:
            for what in ("sum", "count"):
                if line.startswith(f'afm_stage_duration_seconds_{what}{{stage="{stage}"}}'):
                    found[f"{stage}_{what}"] = float(line.split()[-1])
    return found


def parsing(bundle: Bundle, requests: dict[int, list[bytes]], rounds: int) -> str:
    """From the bytes of a body to ids and values, in this process, beside the naive service's."""
    os.environ |= {"BUNDLE": str(bundle.directory), "GRAPH": str(bundle.directory / "predict.onnx")}
    theirs = importlib.import_module("processes.naive_service")
    encoder, scorer, decoder = (
        bundle.read_encoder(),
        bundle.read_scorer(),
        PayloadDecoder(max(CANDIDATES)),
    )
    lines: list[list[object]] = []
    for size in (50, 100):
        bodies = [body.partition(b"\r\n\r\n")[2] for body in requests[size]]
        cache = AdCache(encoder, scorer, CacheLimits(100_000, 64 << 20))

        def known(body: bytes, cache: AdCache = cache) -> None:
            asked = decoder.decode(body)
            encoder.encode_context(asked.context)
            rows: Any = asked.rows  # read when they are asked for
            cache.encode(rows.raws(), rows.read)

        def naive(body: bytes) -> None:
            asked = theirs.PredictRequest.model_validate_json(body)
            encoded = [theirs.encode(asked.context, one) for one in asked.candidates]
            np.array([row[0] for row in encoded]), np.array([row[1] for row in encoded])

        def cold(body: bytes) -> None:
            asked = decoder.decode(body)
            encoder.encode_context(asked.context)
            encoder.encode_ads(asked.rows[:])

        for body in bodies:
            known(body)
        warm = timed(known, bodies, rounds)
        spent = [warm, timed(cold, bodies, rounds), timed(naive, bodies, rounds)]
        lines.append([size, *(f"{1e6 * s:.0f}" for s in spent), f"{spent[2] / spent[0]:.1f}"])
    head = ["candidates", "ads known", "ads new", "naive", "naive / ads known"]
    return "Microseconds to decode and encode a request, without a server:\n\n" + table(head, lines)


def opened(ports: dict[str, int], requests: dict[int, list[bytes]], measured: Measured) -> str:
    """The open loop at shares of what the closed loop reaches."""
    bodies = requests[OPEN_CANDIDATES]
    lines: list[list[object]] = []
    for name in ("service", "naive"):
        most = run_load(ports[name], bodies, 4, measured.seconds).requests_per_second
        for share in OPEN_RATES:
            runs = [
                run_open_load(
                    ports[name], bodies, OPEN_CONNECTIONS, share * most, 2 * measured.seconds
                )
                for _ in range(measured.rounds)
            ]
            found = middle(runs)
            rows = OPEN_CANDIDATES * share * most
            lines.append(
                [
                    name,
                    f"{share:.0%}",
                    f"{rows:,.0f}",
                    ms(found.p50),
                    ms(found.p99),
                    ms(found.longest),
                ]
            )
    head = ["server", "of its closed loop", "rows/s", "p50 ms", "p99 ms", "longest ms"]
    return (
        f"Open loop at a constant rate, N = {OPEN_CANDIDATES}, at most {OPEN_CONNECTIONS} "
        "connections; a latency counts from when its request was due:\n\n" + table(head, lines)
    )


def workers(
    home: Path, bundle: Bundle, requests: dict[int, list[bytes]], measured: Measured
) -> str:
    """Two workers beside one, what a request costs them, and keep-alive requests in a row."""
    (home / "two").mkdir()
    lines: list[list[object]] = []
    patient = service(home, bundle, **PATIENT)
    with patient as one, service(home / "two", bundle, workers=2, **PATIENT) as two:
        servers = psutil.Process().children(recursive=True)
        for size in WORKER_CANDIDATES:
            runs: dict[int, list[tuple[float, ...]]] = {one: [], two: []}
            for port in (one, two) * measured.rounds:
                before, began = busy(servers), perf_counter()
                load = run_load(port, requests[size], 8, measured.seconds)
                cores = (busy(servers) - before) / (perf_counter() - began)
                runs[port].append((load.requests_per_second, cores, load.busy))
            (alone, by_one, _), (both, by_two, generator) = (
                map(median, zip(*runs[port], strict=True)) for port in (one, two)
            )
            lines.append(
                [
                    size,
                    f"**{both / alone:.2f}**",
                    f"{by_one:.2f}",
                    f"{by_two:.2f}",
                    f"{generator:.2f}",
                    f"{1e6 * by_one / alone:.0f}",
                    f"{1e6 * by_two / both:.0f}",
                ]
            )
        connection = Connection(two)
        longest = []
        for _ in range(measured.rounds):
            for body in requests[OPEN_CANDIDATES][:50]:
                began = perf_counter()
                connection.ask(body)
                longest.append(perf_counter() - began)
        connection.close()
    stalls = sum(seconds > STALL_SECONDS for seconds in longest)
    head = ["candidates", "two workers / one", "cores that one uses", "that two use"]
    head += ["that the load generator uses beside two", "µs of a core a request, one", "two"]
    return (
        f"Two workers beside one, 8 connections, on {os.cpu_count()} cores that they share with "
        f"the load generator:\n\n{table(head, lines)}\n\n"
        f"Of {len(longest)} keep-alive requests in a row to the two, {stalls} took longer than "
        f"{1000 * STALL_SECONDS:.0f} ms; the longest took {ms(max(longest))} ms."
    )


if __name__ == "__main__":
    main()
