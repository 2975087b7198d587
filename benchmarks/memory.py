"""What workers share: the memory of 4 real workers that serve a table of a million rows.

PSS counts a page once, divided among those who map it. "weights" are the mappings of weights.bin.

    .venv/bin/python benchmarks/memory.py [--workers 4] [--values 1000000] [--no-write]
"""

import argparse
import re
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import psutil
from processes.product import fit
from processes.servers import service
from results import circumstances, keep, say, table
from traffic.load import Connection, request_bytes

from model.bundle.bundle import Bundle

CONFIG = """net = "afm"
baseline = false
[fit]
epochs = 1
batch = 8192
[attention]
epochs = 1
batch = 8192
"""
SCHEMA = """label = "click"
[fields.user]
kind = "categorical"
min_count = 1
[fields.hour]
kind = "categorical"
[fields.ad]
kind = "categorical"
role = "candidate"
"""
REQUESTS = 400


def main() -> None:
    """Measure; write the table."""
    parser = argparse.ArgumentParser(description="What workers share.")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--no-write", action="store_true", help="only print the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="afm-bench-") as scratch:
        home = Path(scratch)
        say("fitting a model for it")
        bundle = fitted(home, options.values)
        size = (bundle.directory / "weights.bin").stat().st_size
        with service(home, bundle, options.workers) as port:
            touch(port, options.values)
            found = [mapped(pid) for pid in workers_of(home)]
    assert len(found) == options.workers, "not every worker was found"
    weights = sum(one["weights"] for one in found)
    lines: list[list[object]] = [
        ["weights.bin", mib(size), ""],
        ["weights.bin in all workers, PSS", mib(weights), f"{weights / size:.2f}"],
        ["all else of a worker, PSS", mib(sum(one["rest"] for one in found) / len(found)), ""],
    ]
    text = table(["of the memory", "MiB", "times the file"], lines)
    text += f"\n\n{circumstances('onnxruntime')} {options.workers} workers."
    print(text)
    if not options.no_write:
        keep("memory", text)


def fitted(home: Path, values: int) -> Bundle:
    """A bundle with a field of so many values."""
    rng = np.random.default_rng(1)
    log = {
        "user": [f"u{number}" for number in rng.permutation(values)],
        "hour": rng.integers(0, 24, values).astype(str).tolist(),
        "ad": rng.integers(0, 1000, values).astype(str).tolist(),
        "click": (rng.random(values) < 0.2).astype(int),
    }
    pl.DataFrame(log).write_parquet(home / "log.parquet")
    (home / "schema.toml").write_text(SCHEMA)
    (home / "config.toml").write_text(CONFIG)
    return fit(home, "--net", "afm")


def touch(port: int, values: int) -> None:
    """Ask for rows all over the table, over several connections, so that each worker reads some."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        connection = Connection(port)
        for _ in range(REQUESTS // 20):
            rows = [
                {"user": f"u{user}", "hour": "3", "ad": str(rng.integers(1000))}
                for user in rng.integers(0, values, 500)
            ]
            connection.ask(request_bytes("/predict", {"instances": rows}))
        connection.close()


def workers_of(home: Path) -> list[int]:
    """The processes that map weights under a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/maps"):
        try:
            if re.search(f"{home}.*/weights.bin", path.read_text()):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def mapped(pid: int) -> dict[str, float]:
    """The PSS of a process in bytes, of the weights and of the rest."""
    found = {"weights": 0.0, "rest": 0.0}
    for part in psutil.Process(pid).memory_maps():
        found["weights" if part.path.endswith("weights.bin") else "rest"] += part.pss
    return found


def mib(size: float) -> str:
    """MiB as the table has them."""
    return f"{size / 2**20:.1f}"


if __name__ == "__main__":
    main()
