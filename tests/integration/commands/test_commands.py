"""What commands have in common: a bad seed is one line, a reader of stdout may leave."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from commands import Commands
from fit_calls import write_csv
from model.bundle.bundle import Bundle
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main

SEEDED = {"fit": "--seed", "tune": "--seed", "compare": "--seeds", "simulate": "--seed"}


@pytest.fixture
def home(tmp_path: Path) -> Any:
    write_csv(tmp_path / "log.csv", tiny_rows(300))
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "fast.toml").write_text('net = "lr"\n[fit]\nepochs = 1\n')
    return tmp_path


def seeded(home: Any, command: Any, seed: Any) -> Any:
    """The command's exit status, on the log of `home`."""
    files = ["--schema", home / "schema.toml", "--config", home / "fast.toml"]
    arguments = {
        "fit": [home / "log.csv", *files],
        "tune": [home / "log.csv", *files, "--trials", 1],
        "compare": [home / "log.csv", *files, "--nets", "lr"],
        "simulate": ["--rows", 100],
    }[command]
    return main([command, *map(str, arguments), SEEDED[command], seed, "--out", str(home / "out")])


@pytest.mark.parametrize("command", SEEDED)
@pytest.mark.parametrize(
    "seed", ["-1", "x", "1.5", "", str(2**63), pytest.param("9" * 5000, id="5000 digits")]
)
def test_a_bad_seed_is_one_line_and_leaves_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], command: Any, seed: Any
) -> None:
    assert seeded(home, command, seed) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    wanted = "a whole number from 0 to 2^63 - 1"
    assert printed.err == f"afm-train: {SEEDED[command]} {seed!r}: {wanted}\n"
    assert not (home / "out").exists()


@pytest.mark.parametrize("command", SEEDED)
def test_the_largest_seed_is_one_like_the_others(home: Path, command: Any) -> None:
    assert seeded(home, command, str(2**63 - 1)) == 0
    assert (home / "out").exists()


def unread(module: Any, *arguments: Any, env: Any = os.environ) -> Any:
    """A command in a process of its own, whose stdout nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**env, "PYTHONUNBUFFERED": ""},  # buffered, as it is for users
            text=True,
        )


def test_an_evaluation_that_nobody_reads_ends_without_a_word(
    home: Path, tiny_bundle: Bundle
) -> None:
    done = unread("training.cli", "evaluate", tiny_bundle.directory, home / "log.csv")
    assert (done.returncode, done.stderr) == (141, "")


def test_versions_that_nobody_reads_end_without_a_word(commands: Commands) -> None:
    done = unread("service.cli", "versions", env=commands.env)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("module", ["training.cli", "service.cli"])
def test_help_that_nobody_reads_ends_without_a_word(module: str) -> None:
    done = unread(module, "--help")
    assert (done.returncode, done.stderr) == (141, "")


def test_an_error_is_told_to_those_who_read_stderr_alone(tmp_path: Path) -> None:
    done = unread("training.cli", "evaluate", tmp_path / "none", "log.csv")
    assert done.returncode == 2
    assert str(tmp_path / "none") in done.stderr


def test_a_stdout_that_was_closed_from_the_start_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.cli", "simulate", "--rows", "100"]
    command += ["--out", str(tmp_path / "out")]
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
