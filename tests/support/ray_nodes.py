"""A Ray cluster of two nodes on this machine, and fits that are asked of it, for tests."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fit_calls import write_csv
from model.bundle.files import WEIGHTS
from tiny import TINY_SCHEMA, tiny_rows

LONGEST = 300.0  # seconds of a command, with what starting again takes on a busy machine
CONFIG = """
net = "afm+"
calibration = "platt"
optimizer = "lazy_adam"
embedding = 4
attention_size = 4
[fit]
epochs = 6
batch = 64
patience = 6
[attention]
epochs = 12
batch = 64
patience = 12
dropout = 0.2
"""


@dataclass
class Nodes:
    """The cluster's `address`, and its second node of so many `cores`, which may be lost and
    replaced.
    """

    cluster: Any
    second: Any
    cores: int = 1

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def lose_the_second(self) -> None:
        """End its processes without a word."""
        self.cluster.remove_node(self.second, allow_graceful=False)

    def add_a_second(self) -> None:
        """Another one in its place."""
        self.second = self.cluster.add_node(num_cpus=self.cores)


@dataclass
class Home:
    """A folder with a log, and the bundle that one process fitted of it."""

    path: Path

    @classmethod
    def made(cls, path: Path) -> "Home":
        """With a log, and what one process fits of it."""
        write_csv(path / "log.csv", tiny_rows(2000))
        (path / "schema.toml").write_text(TINY_SCHEMA)
        (path / "config.toml").write_text(CONFIG)
        home = cls(path)
        ended = home.run("alone")
        assert ended.returncode == 0, ended.stderr
        return home

    def command(self, out: str, *more: str) -> list[str]:
        """`afm-train fit` of the log."""
        files = [self.path / name for name in ("log.csv", "schema.toml", "config.toml", out)]
        log, schema, config, bundle = map(str, files)
        given = ["--schema", schema, "--config", config, "--out", bundle, "--seed", "3"]
        often = ["--checkpoint-seconds", "0"]
        return [sys.executable, "-m", "training.cli", "fit", log, *given, *often, *more]

    def run(self, out: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(self.command(out, *more), capture_output=True, text=True, check=False)

    def start(self, out: str, *more: str) -> subprocess.Popen[str]:
        """Start it; what it says goes to a file."""
        with (self.path / f"{out}.said").open("a") as said:
            return subprocess.Popen(self.command(out, *more), stdout=said, stderr=said, text=True)

    def said(self, out: str) -> str:
        """What the fits of this bundle have said so far."""
        return (self.path / f"{out}.said").read_text()

    def weights(self, out: str) -> bytes:
        """The weights of a bundle."""
        return (self.path / out / WEIGHTS).read_bytes()

    def ask(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run another command of `afm-train`."""
        return subprocess.run(self.words(*words), capture_output=True, text=True, check=False)

    def words(self, *words: object) -> list[str]:
        """Another command of `afm-train`."""
        return [sys.executable, "-m", "training.cli", *map(str, words)]


def until(condition: Callable[[], bool], said: Callable[[], str]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline, said()
        time.sleep(0.05)


def processes(title: str) -> list[int]:
    """The processes of Ray whose title begins so."""
    import psutil

    found = psutil.process_iter(["cmdline"])
    return [one.pid for one in found if (one.info["cmdline"] or [""])[0].startswith(title)]


def kill_one(title: str) -> None:
    """Kill one of these processes, once there is one."""
    import psutil

    until(lambda: bool(processes(title)), lambda: f"no {title}")
    psutil.Process(random.choice(processes(title))).kill()
