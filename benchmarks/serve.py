"""`make bench`: the service beside an afternoon's version of it, side by side in one run.

Both score the same rows with the same weights, one worker each, over loopback; before any figure
their answers are checked to be equal. The table goes into benchmarks/README.md.

    .venv/bin/python benchmarks/serve.py [--rounds 5] [--seconds 1.0] [--no-write]
"""

import argparse
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from load import Connection, Load, request_bytes, run_load
from naive_graph import export_naive_bundle

from model.bundle import Bundle

HERE = Path(__file__).parent
CANDIDATES = (1, 10, 50, 100)
CONNECTIONS = (1, 4)
SERVERS = ("service", "afternoon")
BODIES = 200  # different requests for each number of candidates
LOG_ROWS = 60_000
TOLERANCE = 1e-5
START_SECONDS = 60.0
MARKS = ("<!-- bench:begin -->", "<!-- bench:end -->")
CONFIG = """
calibration = "platt" # which the naive graph has too
[fit]
epochs = 3
batch = 1024
learning_rate = 5e-3
[attention]
epochs = 1
batch = 1024
"""

Cell = tuple[int, int, str]  # candidates, connections, server


def main() -> None:
    """Run the benchmark and write its table."""
    parser = argparse.ArgumentParser(description="The service beside an afternoon's version of it.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one cell in one round")
    parser.add_argument("--no-write", action="store_true", help="leave benchmarks/README.md alone")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="afm-bench-")))
        say("fitting a model for it")
        log, bundle = fitted(home)
        say(f"starting both servers on version {bundle.version}")
        requests = make_requests(pl.read_parquet(log / "test.parquet"), bundle)
        ports = {
            "service": stack.enter_context(service(home, bundle)),
            "afternoon": stack.enter_context(afternoon(home, bundle)),
        }
        say(f"answers equal: they differ by {largest_difference(ports, requests):.1g} at most")
        runs = measure(ports, requests, arguments.rounds, arguments.seconds)
    busiest = max(run.busy for cell in runs.values() for run in cell)
    text = f"{table(runs)}\n\n{circumstances(arguments.rounds, arguments.seconds, busiest)}\n"
    print(text)
    if not arguments.no_write:
        keep(HERE / "README.md", text, *MARKS)


def fitted(home: Path) -> tuple[Path, Bundle]:
    """An example log, and a bundle fitted on it; few epochs, since no figure depends on them."""
    log, out, config = home / "log", home / "bundle", home / "config.toml"
    config.write_text(CONFIG)
    train = command("afm-train")
    run = [*train, "simulate", "--rows", str(LOG_ROWS), "--seed", "7", "--out", str(log)]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    run = [*train, "fit", str(log / "train.parquet"), "--schema", str(log / "schema.toml")]
    run += ["--config", str(config), "--out", str(out)]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    return log, Bundle.open(out)


def make_requests(rows: pl.DataFrame, bundle: Bundle) -> dict[int, list[bytes]]:
    """For each number of candidates, requests made of rows that training never saw."""
    fields = bundle.schema.fields
    context = rows.select([name for name, field in fields.items() if field.role == "context"])
    candidate = rows.select([name for name, field in fields.items() if field.role == "candidate"])
    contexts, candidates = context.to_dicts(), candidate.to_dicts()
    rng = np.random.default_rng(1)
    return {
        size: [
            request_bytes(
                "/predict",
                {
                    "context": contexts[rng.integers(len(contexts))],
                    "candidates": [candidates[i] for i in rng.integers(0, len(candidates), size)],
                },
            )
            for _ in range(BODIES)
        ]
        for size in CANDIDATES
    }


@contextmanager
def service(home: Path, bundle: Bundle) -> Iterator[int]:
    """The service as a user runs it: published, one worker, the embedded Redis; yields its port."""
    port = free_port()
    environment = clean_environment() | {"AFM_HOME": str(home / "afm")}
    serve = command("afm-serve")
    subprocess.run(
        [*serve, "publish", str(bundle.directory)],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    run = [*serve, "run", "--port", str(port)]
    with started(run, environment, home / "service.log", f"http://127.0.0.1:{port}/readyz"):
        yield port


@contextmanager
def afternoon(home: Path, bundle: Bundle) -> Iterator[int]:
    """The afternoon's service under uvicorn[standard], one worker; yields its port."""
    port = free_port()
    graph = home / "naive.onnx"
    export_naive_bundle(bundle, graph)
    environment = clean_environment() | {"BUNDLE": str(bundle.directory), "GRAPH": str(graph)}
    run = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "afternoon:app"]
    run += ["--port", str(port), "--no-access-log"]
    with started(run, environment, home / "afternoon.log", f"http://127.0.0.1:{port}/docs"):
        yield port


@contextmanager
def started(run: list[str], environment: dict[str, str], log: Path, ready: str) -> Iterator[None]:
    """A server process, from its first good answer to its end."""
    with log.open("wb") as output:
        process = subprocess.Popen(run, env=environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"it does not start: {' '.join(run)}\n{log.read_text()}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def answers(url: str) -> bool:
    """Whether 200 comes back."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own loopback URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def largest_difference(ports: dict[str, int], requests: dict[int, list[bytes]]) -> float:
    """Ask both servers everything once; ends the benchmark where answers are not equal."""
    connections = {name: Connection(port) for name, port in ports.items()}
    worst = 0.0
    for size, bodies in requests.items():
        for body in bodies:
            ours, theirs = (np.array(c.ask(body)["probabilities"]) for c in connections.values())
            assert ours.shape == theirs.shape == (size,), "not one probability a candidate"
            worst = max(worst, float(np.abs(ours - theirs).max()))
    for connection in connections.values():
        connection.close()
    assert worst <= TOLERANCE, f"answers differ by {worst:.2g}: there is nothing to compare"
    return worst


def measure(
    ports: dict[str, int], requests: dict[int, list[bytes]], rounds: int, seconds: float
) -> dict[Cell, list[Load]]:
    """Every cell once a round, the two servers in turn, so that both meet the same machine."""
    runs: dict[Cell, list[Load]] = {}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        order = SERVERS if number % 2 == 0 else SERVERS[::-1]
        for connections in CONNECTIONS:
            for size in CANDIDATES:
                for name in order:
                    run = run_load(ports[name], requests[size], connections, seconds)
                    runs.setdefault((size, connections, name), []).append(run)
    return runs


def table(runs: dict[Cell, list[Load]]) -> str:
    """The medians over rounds as a Markdown table."""
    lines = [
        "| candidates | connections | service rows/s | p50 ms | p99 ms "
        "| afternoon rows/s | p50 ms | p99 ms | ratio of rows/s |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for connections in CONNECTIONS:
        for size in CANDIDATES:
            cells: list[Any] = [size, connections]
            rates = []
            for name in SERVERS:
                found = runs[size, connections, name]
                rates.append(size * median(run.requests_per_second for run in found))
                latencies = (
                    median(getattr(run, quantile) for run in found) for quantile in ("p50", "p99")
                )
                cells += [f"{rates[-1]:,.0f}", *(f"{1000 * latency:.2f}" for latency in latencies)]
            cells.append(f"{rates[0] / rates[1]:.1f}")
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def circumstances(rounds: int, seconds: float, busiest: float) -> str:
    """What the figures were measured with."""
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("onnxruntime", "uvicorn", "fastapi")
    )
    machine = f"{cpu_model()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return (
        f"Measured on {datetime.now(UTC):%d %B %Y}: {machine}, {versions}. Medians of {rounds} "
        f"rounds of {seconds:g} s a cell; the load generator took {busiest:.0%} of a core at most."
    )


def cpu_model() -> str:
    """The processor by its name, where Linux tells it."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def keep(path: Path, text: str, begin: str, end: str) -> None:
    """Put the table between two markers of a Markdown file."""
    before, rest = path.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    path.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")


def command(name: str) -> list[str]:
    """A command of this environment."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise SystemExit(f"{name} is not beside {sys.executable}: make install")
    return [found]


def clean_environment() -> dict[str, str]:
    """Ours, without the settings of somebody's own service."""
    own = {"WEB_CONCURRENCY"}
    return {k: v for k, v in os.environ.items() if not k.startswith("AFM_") and k not in own}


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def say(text: str) -> None:
    """Progress, beside the table."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
