"""Rows a second of both passes over a log (docs/scale.md) where two machines divide them, beside
one machine: two processes of one core each, with a cache each, against one of one core.

    python benchmarks/divided_passes.py --rows 1000000

The log is that of streamed_fits.py, 39 fields. In turns, the median of --rounds; the files that
both leave are compared byte for byte.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import torch
from processes.apart import apart
from processes.servers import free_port
from results import circumstances, keep, say, table
from streamed_fits import pass_speed, write_log

from model.schema import Schema
from training import group
from training.data.files import Data
from training.fit.malloc import keep_freed_memory
from training.stream.asked import Asked
from training.stream.encode_log import encoded_log


class Found(NamedTuple):
    """Rows a second of the first and the second pass, and a digest of the files."""

    first: int
    second: int
    digest: str


def member(home: Path, cache: Path, first: str, number: int, members: int) -> None:
    """Encode the log on the core of this number, and print what was found."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[number]})
    os.environ["XDG_CACHE_HOME"] = str(cache)
    torch.set_num_threads(1)
    keep_freed_memory()
    said: list[str] = []
    data, schema = Data((home / "log",)), Schema.load(home / "schema.toml")
    with group.joined(first, number, members, timedelta(seconds=300)):
        folder = encoded_log(data, schema, Asked(0.1), 1, said.append).folder
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as opened:
            found.update(hashlib.file_digest(opened, "sha256").digest())
    shutil.rmtree(cache)
    speeds = [pass_speed(name, "\n".join(said)) for name in ("first", "second")]
    sys.stdout.write(json.dumps([*speeds, found.hexdigest()]))


def of_all(home: Path, members: int) -> Found:
    """So many machines: the slowest.

    Raises:
        RuntimeError: they leave other files than each other.
    """
    first = f"tcp://127.0.0.1:{free_port()}"
    program = sys.executable, __file__, "--member", str(home)
    running = [
        subprocess.Popen(
            [*program, str(home / f"cache-{number}"), first, str(number), str(members)],
            stdout=subprocess.PIPE,
        )
        for number in range(members)
    ]
    found = [Found(*json.loads(one.communicate()[0])) for one in running]
    if len({one.digest for one in found}) > 1:
        raise RuntimeError("the machines leave different files")
    return min(found)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--member", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.member:
        home, cache, first, number, members = args.member
        member(Path(home), Path(cache), first, int(number), int(members))
        return
    one, two = [], []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        apart(write_log, home, args.rows)
        for _ in range(args.rounds):
            one.append(of_all(home, 1))
            two.append(of_all(home, 2))
            say(f"{one[-1]} {two[-1]}")
            if one[-1].digest != two[-1].digest:
                raise RuntimeError("two machines leave other files than one")
    lines: list[list[object]] = []
    for name in ("first", "second"):
        speeds = [statistics.median(getattr(run, name) for run in runs) for runs in (one, two)]
        lines.append([name, *(f"{speed:,.0f}" for speed in speeds), f"{speeds[1] / speeds[0]:.2f}"])
    head = ["pass", "one machine, rows/s", "two machines, rows/s", "times as fast"]
    text = f"{args.rows:,} rows.\n\n{table(head, lines)}\n\n{circumstances('polars', 'torch')}"
    print(text)
    if not args.no_write:
        keep("divided passes", text)


if __name__ == "__main__":
    main()
