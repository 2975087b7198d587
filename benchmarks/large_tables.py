"""A model whose tables take several GB: how long a worker takes to go live, and the first requests,
with none of the weights in the page cache and with all of them.

    python benchmarks/large_tables.py --rows 40000000 --embedding 16

The net is fm with random parameters; `user` is hashed into `--rows` rows of the tables
(`buckets = N` of the schema), so no vocabulary grows with them. Needs as much disk and memory as
the tables take, twice. A request has 50 candidates and one user, whom no request before had.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from memory import mapped, mib, workers_of
from processes.product import command, fit, run
from processes.servers import clean_environment, free_port, started
from results import circumstances, keep, say, table
from traffic.load import Connection, request_bytes

from model.bundle.bundle import Bundle
from model.bundle.files import WEIGHTS

ADS = 50
ROWS = 20_000  # of the log
ASKED = 2_000  # requests
SCHEMA = """label = "click"
[fields.user]
kind = "categorical"
buckets = {rows}
[fields.hour]
kind = "categorical"
[fields.ad]
kind = "categorical"
role = "candidate"
"""
CONFIG = """net = "fm"
optimizer = "lazy_adam"
baseline = false
embedding = {embedding}
[fit]
epochs = 1
batch = 8192
"""


def fitted(home: Path, rows: int, embedding: int) -> Bundle:
    """A bundle with tables of so many rows."""
    rng = np.random.default_rng(1)
    log = {
        "user": rng.integers(0, 10**9, ROWS).astype(str).tolist(),
        "hour": rng.integers(0, 24, ROWS).astype(str).tolist(),
        "ad": rng.integers(0, 1000, ROWS).astype(str).tolist(),
        "click": (rng.random(ROWS) < 0.2).astype(int),
    }
    pl.DataFrame(log).write_parquet(home / "log.parquet")
    (home / "schema.toml").write_text(SCHEMA.format(rows=rows))
    (home / "config.toml").write_text(CONFIG.format(embedding=embedding))
    return fit(home)


def forget(folder: Path) -> None:
    """Drop what the page cache has of the weights below a folder."""
    for path in folder.rglob(WEIGHTS):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def asked(port: int, seed: int) -> list[float]:
    """How long each of ASKED requests took, in ms."""
    rng = np.random.default_rng(seed)
    connection = Connection(port)
    took = []
    for _ in range(ASKED):
        body: dict[str, Any] = {
            "context": {"user": str(rng.integers(10**9)), "hour": "3"},
            "candidates": [{"ad": str(ad)} for ad in rng.integers(0, 1000, ADS)],
        }
        request = request_bytes("/predict", body)
        began = time.perf_counter()
        answer = connection.ask(request)
        took.append(1e3 * (time.perf_counter() - began))
        assert len(answer["probabilities"]) == ADS, answer
    connection.close()
    return took


def served(home: Path, environment: dict[str, str], name: str, seed: int) -> list[object]:
    """A line: seconds until it is ready, ms of its first requests, and the memory of a worker."""
    port = free_port()
    serve = [*command("afm-serve"), "run", "--port", str(port), "--workers", "1"]
    began = time.perf_counter()
    with started(serve, environment, home / "log.txt", f"http://127.0.0.1:{port}/readyz"):
        ready = time.perf_counter() - began
        took = sorted(asked(port, seed))
        (memory,) = map(mapped, workers_of(home))
    shown = [f"{took[len(took) * share // 100]:.2f}" for share in (50, 99)]
    return [name, f"{ready:.1f}", *shown, mib(memory["weights"]), mib(memory["rest"])]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=40_000_000)
    parser.add_argument("--embedding", type=int, default=16)
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="afm-bench-") as scratch:
        home = Path(scratch)
        began = time.perf_counter()
        bundle = fitted(home, options.rows, options.embedding)
        took = time.perf_counter() - began
        size = (bundle.directory / WEIGHTS).stat().st_size
        environment = clean_environment() | {"AFM_HOME": str(home / "afm")}
        began = time.perf_counter()
        publish = "publish", "--force", "--no-wait", str(bundle.directory)
        run("afm-serve", *publish, environment=environment)
        published = time.perf_counter() - began
        say(f"fitted in {took:.0f} s, published in {published:.0f} s")
        forget(home)
        lines = [
            served(home, environment, "cold", 1),
            served(home, environment, "warm", 2),
        ]
    head = ["page cache", "s until ready", "p50 ms", "p99 ms", "weights, MiB", "all else, MiB"]
    text = f"weights.bin: {mib(size)} MiB, {options.rows:,} rows; fitted in {took:.0f} s, "
    text += f"published in {published:.0f} s.\n\n{table(head, lines)}\n\n"
    text += circumstances("onnxruntime")
    print(text)
    if not options.no_write:
        keep("large tables", text)


if __name__ == "__main__":
    main()
