"""A long command of `afm-train` in a process of its own, and Ctrl-C in the middle of it."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import tomli_w


class Ended(NamedTuple):
    """How a process ended."""

    status: int
    out: str
    err: str


def long_command(home: Path, command: str, out: str) -> list[str]:
    """`command` on the log of `home`, with so many epochs that it does not end by itself. `home`
    holds log.csv, schema.toml and fast.toml.
    """
    settings = tomllib.loads((home / "fast.toml").read_text())
    settings["fit"] |= {"epochs": 100_000, "patience": 100_000}
    (home / "long.toml").write_text(tomli_w.dumps(settings))
    files = ["--schema", home / "schema.toml", "--config", home / "long.toml", "--out", home / out]
    return [sys.executable, "-m", "training.cli", command, *map(str, [home / "log.csv", *files])]


def interrupted(home: Path, command: str, out: str) -> Ended:
    """Run a long command, and press Ctrl-C once its third epoch is over."""
    with subprocess.Popen(
        long_command(home, command, out),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch  3" in line:
                process.send_signal(signal.SIGINT)
                break
        said, err = process.communicate(timeout=120)
    return Ended(process.returncode, said, err)
