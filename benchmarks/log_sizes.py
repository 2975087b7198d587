"""Time and memory of `fit`, `evaluate` and `predict` by the size of the log, each as a command in a
process of its own.

    python benchmarks/log_sizes.py --rows 100000,1000000
    python benchmarks/log_sizes.py --rows 300000 --before ../before/.venv/bin/afm-train

The log is that of logs/wide_log.py: 39 fields. Net fm, one epoch. `--before`: the afm-train of
another checkout, measured in the same run.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from logs.wide_log import write_wide_log
from processes.apart import apart
from results import circumstances, keep, say, table

CONFIG = """
net = "fm"
calibration = "platt"
[fit]
epochs = 1
l2_embedding = 1e-6
l2_linear = 0
"""
HEAD = ["rows", "command", "afm-train", "wall s", "CPU s", "peak MiB"]


class Cost(NamedTuple):
    """Of a command: seconds by the clock and of all cores, and the largest memory in MiB."""

    wall: float
    cpu: float
    peak: float


def cost(words: list[str]) -> Cost:
    """Run a command to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, words
    wall = time.perf_counter() - began
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def commands(home: Path, program: str, name: str) -> dict[str, list[str]]:
    """The commands by name, in their order."""
    log, bundle = str(home / "log.parquet"), str(home / f"bundle-{name}")
    given = ["--schema", str(home / "schema.toml"), "--config", str(home / "config.toml")]
    return {
        "fit": [program, "fit", log, *given, "--out", bundle],
        "evaluate": [program, "evaluate", bundle, log, "--bootstrap", "0"],
        "predict": [program, "predict", bundle, log, "--out", str(home / f"{name}.parquet")],
    }


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="100000,1000000")
    parser.add_argument("--before")
    parser.add_argument("--no-write", action="store_true")
    args = parser.parse_args()
    programs = {"here": str(Path(sys.executable).parent / "afm-train")}
    if args.before:
        programs = {"before": args.before, **programs}
    lines: list[list[object]] = []
    for rows in map(int, args.rows.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            apart(write_wide_log, home, rows=rows)
            (home / "config.toml").write_text(CONFIG)
            for name, program in programs.items():
                for command, words in commands(home, program, name).items():
                    found = cost(words)
                    figures = [f"{found.wall:.1f}", f"{found.cpu:.1f}", f"{found.peak:,.0f}"]
                    lines.append([f"{rows:,}", f"`{command}`", name, *figures])
                    say(" ".join(map(str, lines[-1])))
    text = f"{table(HEAD, lines)}\n\n{circumstances('polars', 'torch')}"
    print(text)
    if not args.no_write:
        keep("log sizes", text)


if __name__ == "__main__":
    main()
