"""`afm-train fit --resume`: a fit that was killed ends as if nothing had happened, to the bit."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import killed
from fit_calls import write_csv
from model.bundle.bundle import Bundle
from model.bundle.files import WEIGHTS
from narrowing import not_none
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main
from training.state.checkpoint import checkpoint_path

CONFIG = """
calibration = "platt"
embedding = 4
attention_size = 4
[fit]
epochs = 4
batch = 64
patience = 2
[attention]
epochs = 4
batch = 64
patience = 2
dropout = 0.2
"""


@pytest.fixture
def home(tmp_path: Path) -> Any:
    write_csv(tmp_path / "log.csv", tiny_rows(2000))  # so many that the first epochs gain
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path


def arguments(home: Any, out: Any, *more: Any, net: Any = "afm") -> Any:
    files = [
        "--schema",
        home / "schema.toml",
        "--config",
        home / "config.toml",
        "--out",
        home / out,
    ]
    often = ["--checkpoint-seconds", "0"]
    return ["fit", *map(str, [home / "log.csv", *files, "--net", net, *often, *more])]


def weights(home: Any, out: Any) -> Any:
    return (home / out / WEIGHTS).read_bytes()


def left(home: Any) -> Any:
    """What lies about beside the files of the test and its bundles."""
    given = {"log.csv", "schema.toml", "config.toml", "whole", "bundle"}
    return {path.name for path in home.iterdir()} - given


def killed_after(
    home: Any, epochs: Any, monkeypatch: pytest.MonkeyPatch, *more: Any, net: Any = "afm"
) -> None:
    """A fit that ends without a word after so many epochs."""
    killed.killed_after(arguments(home, "bundle", *more, net=net), epochs, monkeypatch)


@pytest.mark.parametrize(
    ("net", "optimizer"), [("fm", "adam"), ("afm+", "adam"), ("afm", "lazy_adam")]
)
def test_a_fit_ended_after_any_epoch_goes_on_to_the_same_weights(
    home: Path, monkeypatch: pytest.MonkeyPatch, net: str, optimizer: str
) -> None:
    (home / "config.toml").write_text(f'optimizer = "{optimizer}"\n{CONFIG}')
    assert main(arguments(home, "whole", net=net)) == 0
    done = Bundle.open(home / "whole").manifest.training["epochs"]
    for epochs in range(1, len(done)):
        killed_after(home, epochs, monkeypatch, net=net)
        assert main(arguments(home, "bundle", "--resume", net=net)) == 0
        assert weights(home, "bundle") == weights(home, "whole")
        again = Bundle.open(home / "bundle").manifest.training["epochs"]
        assert [e | {"seconds": 0} for e in again] == [e | {"seconds": 0} for e in done]
        (home / "bundle").rename(home.parent / f"{home.name}-{epochs}")
    assert left(home) == set()


def test_fit_killed_again_and_again_ends_with_the_same_weights(home: Path) -> None:
    assert main(arguments(home, "whole")) == 0
    chance = random.Random(5)
    kills = 0
    while not (home / "bundle").exists():
        command = [sys.executable, "-m", "training.cli", *arguments(home, "bundle", "--resume")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        if kills < 3:
            # what is written is written: any moment from the first epoch on
            not_none(process.stderr).readline()
            time.sleep(chance.uniform(0, 0.3))
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        _, said = process.communicate(timeout=120)
        assert process.returncode in (0, -signal.SIGKILL), said
    assert weights(home, "bundle") == weights(home, "whole")
    assert left(home) == set()


def test_fit_says_after_which_epoch_it_resumes(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_after(home, 2, monkeypatch)
    capsys.readouterr()
    assert main(arguments(home, "bundle", "--resume")) == 0
    assert "fm: continues after epoch 2\nfm epoch  3" in capsys.readouterr().err


def test_without_resume_a_fit_begins_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_after(home, 2, monkeypatch)
    capsys.readouterr()
    assert main(arguments(home, "bundle")) == 0
    assert capsys.readouterr().err.startswith("fm epoch  1")
    assert left(home) == set()


def test_resume_without_a_checkpoint_begins_anew(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(home, "bundle", "--resume")) == 0
    assert capsys.readouterr().err.startswith("fm epoch  1")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda _: ["--seed", "2"], "another seed"),
        (lambda home: _replaced(home / "config.toml", "batch = 64", "batch = 32"), "configuration"),
        (
            lambda home: _replaced(home / "schema.toml", "max_values = 3", "max_values = 2"),
            "schema",
        ),
        (lambda home: _replaced(home / "log.csv", ",1\n", ",0\n"), "another log"),
    ],
)
def test_a_checkpoint_of_another_fit_is_refused_in_one_line(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Any,
    says: str,
) -> None:
    killed_after(home, 1, monkeypatch)
    more = change(home)
    capsys.readouterr()
    assert main(arguments(home, "bundle", "--resume", *more)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert says in said
    assert not (home / "bundle").exists()
    assert checkpoint_path(home / "bundle").exists()  # of use to whoever held it wrong


def _replaced(path: Any, old: Any, new: Any) -> Any:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return []


def test_a_checkpoint_that_is_none_is_refused_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for data in (b"", b"\x80\x04 no checkpoint", os.urandom(500)):
        checkpoint_path(home / "bundle").write_bytes(data)
        assert main(arguments(home, "bundle", "--resume")) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "cannot be read" in said


def test_a_checkpoint_runs_no_code(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "ran"), "w")

    torch.save({"inputs": {}, "steps": Harm()}, checkpoint_path(home / "bundle"))
    assert main(arguments(home, "bundle", "--resume")) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("size", [3_000, 40_000])  # for the checkpoint, for the bundle
def test_a_full_disk_costs_one_line_and_leaves_what_was_whole(home: Path, size: int) -> None:
    assert main(arguments(home, "whole", net="fm")) == 0
    before = weights(home, "whole")
    often = [] if size < 10_000 else ["--checkpoint-seconds", "1000"]
    command = [sys.executable, "-m", "training.cli", *arguments(home, "bundle", *often, net="fm")]
    ended = subprocess.run(
        command,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = ended.stderr.decode().splitlines()
    assert ended.returncode == 2, said
    assert said[-1].startswith("afm-train: ")
    assert "cannot" in said[-1]
    assert weights(home, "whole") == before
    assert left(home) == set()


def test_files_that_a_killed_fit_left_are_removed_by_the_next(home: Path) -> None:
    command = [sys.executable, "-m", "training.cli", *arguments(home, "bundle")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    not_none(process.stderr).readline()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert {name[:8] for name in left(home)} >= {".bundle."}
    assert main(arguments(home, "bundle")) == 0
    assert left(home) == set()
