"""`fit --stream` by the size of the log: rows a second of both passes and of an epoch, and memory,
beside a fit of the same log in memory. Each is a command in a process of its own.

    python benchmarks/streamed_fits.py --rows 100000,1000000 --memory 1000000

The log is that of logs/wide_log.py, 39 fields, drawn once and then in other orders, a column each.
Net fm, two epochs; the figure is of the second, since the first loads the kernels and takes new
memory, half a second whatever the log's size. A small fit before has compiled the kernels.
`--memory`: up to how many rows the log is also fitted again, from the encoded rows that are on disk
then, and in memory.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl
from logs.wide_log import write_wide_log
from processes.apart import apart
from results import circumstances, keep, say, table

from model.bundle.bundle import Bundle

DRAWN = 1_000_000  # rows of one file
WARM_UP = 5_000  # rows
CONFIG = """
net = "fm"
calibration = "platt"
[fit]
epochs = 2
batch = 4096
l2_embedding = 1e-6
l2_linear = 0
"""
HEAD = ["rows", "fit", "first pass, rows/s", "second pass, rows/s", "epoch, rows/s"]
HEAD += ["wall s", "peak MiB", "load"]


class Found(NamedTuple):
    """Of a fit: rows a second of each pass, None where it had none, and of its second epoch;
    seconds, the largest memory in MiB, and how many processes waited for a core at its end.
    """

    passes: tuple[int | None, int | None]
    epoch: float
    wall: float
    peak: float
    load: float


def pass_speed(name: str, said: str) -> int | None:
    """Rows a second of a pass over a log by the lines `said` of it, None where it had none."""
    ended = re.findall(rf"{name} pass: [\d,]+ rows, ([\d,]+) rows/s$", said, re.MULTILINE)
    return int(ended[-1].replace(",", "")) if ended else None


def fitted(words: list[str], out: Path, env: Mapping[str, str], trained: float) -> Found:
    """Run a fit, of so many training rows, to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [*words, "--out", str(out)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    text = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, text
    wall = time.perf_counter() - began

    seconds = float(Bundle.open(out).manifest.training["epochs"][1]["seconds"])
    peak = used.ru_maxrss / 1024
    passes = pass_speed("first", text), pass_speed("second", text)
    return Found(passes, trained / seconds, wall, peak, os.getloadavg()[0])


def write_log(home: Path, rows: int) -> None:
    """Files of DRAWN rows or fewer, with schema and configuration."""
    drawn = min(rows, DRAWN)
    write_wide_log(home, rows=drawn)
    (home / "config.toml").write_text(CONFIG)
    (home / "log").mkdir()
    log = pl.read_parquet(home / "log.parquet")
    (home / "log.parquet").unlink()
    for number in range(-(-rows // drawn)):
        mixed = [column.shuffle(seed=number * 100 + at) for at, column in enumerate(log)]
        some = pl.DataFrame(mixed).head(rows - number * drawn)
        some.write_parquet(home / "log" / f"{number:03d}.parquet", row_group_size=1 << 16)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="100000,1000000,10000000")
    parser.add_argument("--memory", type=int, default=1_000_000)
    parser.add_argument("--no-write", action="store_true")
    args = parser.parse_args()
    program = str(Path(sys.executable).parent / "afm-train")
    lines: list[list[object]] = []
    for rows in (WARM_UP, *map(int, args.rows.split(","))):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            apart(write_log, home, rows)
            env = {**os.environ, "XDG_CACHE_HOME": str(home / "cache")}
            env.setdefault("NUMBA_CACHE_DIR", str(Path.home() / ".cache" / "ctr-afm" / "kernels"))
            for name, more in (
                ("streamed", ["--stream"]),
                ("again", ["--stream"]),
                ("in memory", []),
            ):
                if name != "streamed" and rows > args.memory:
                    continue
                given = ["--schema", home / "schema.toml", "--config", home / "config.toml"]
                out = home / name.replace(" ", "-")
                words = [program, "fit", home / "log", *given, *more]
                found = fitted(list(map(str, words)), out, env, 0.9 * rows)
                if rows == WARM_UP:
                    break
                speeds = ["" if one is None else f"{one:,}" for one in found.passes]
                figures = [f"{found.epoch:,.0f}", f"{found.wall:.0f}", f"{found.peak:,.0f}"]
                lines.append([f"{rows:,}", name, *speeds, *figures, f"{found.load:.1f}"])
                say(" ".join(map(str, lines[-1])))
    text = f"{table(HEAD, lines)}\n\n{circumstances('polars', 'torch')}"
    print(text)
    if not args.no_write:
        keep("streamed fits", text)


if __name__ == "__main__":
    main()
