"""How a fit is shown: plain lines into a file, a bar on a terminal. A real fit is watched."""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from fit_calls import write_csv
from model.nets import NetSizes, build
from narrowing import not_none
from tiny import TINY_SCHEMA, tiny_rows
from training.config import Step
from training.data.examples import Examples
from training.fit.step.loop import run_step
from training.fit.step.progress import _Bar, _Lines
from training.fit.step.watcher import Epoch
from training.kernels.compiled import ANNOUNCED

ROWS = 64


def epoch(**change: Any) -> Any:
    facts = {"train_loss": 0.5, "valid_loss": 0.6, "valid_auc": 0.7, "learning_rate": 0.01}
    return Epoch("fm", 3, **(facts | {"seconds": 1.25, "best": False} | change))


def console(*, terminal: Any) -> Any:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, soft_wrap=True)


def watched(watcher: Any) -> Any:
    """A fit of three epochs with this watcher; returns its epochs."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    ids = torch.from_numpy(np.stack([rng.integers(0, 3, ROWS), rng.integers(3, 6, ROWS)], 1))
    labels = (ids.sum(1) % 2).float()
    rows = Examples(ids, torch.ones(ROWS, 2), labels, torch.ones(ROWS))
    net = build("fm", 6, (0, 1), NetSizes(embedding=2))
    step = Step(epochs=3, batch=16, patience=3)
    epochs, _ = run_step("fm", net, step, rows, rows, lambda ids: ids, watcher)
    return epochs


def test_an_epoch_is_one_line_with_its_figures() -> None:
    watcher: Any = _Lines(console(terminal=False))
    watcher.epoch(epoch())
    watcher.epoch(epoch(best=True))
    first, second = watcher.console.file.getvalue().splitlines()
    assert first == "fm epoch  3  train loss 0.5000  valid loss 0.6000  auc 0.7000  1.2 s"
    assert second == f"{first}  best"


def test_an_auc_that_is_undefined_is_said_to_be_none() -> None:
    watcher: Any = _Lines(console(terminal=False))
    watcher.epoch(epoch(valid_auc=None))
    assert "auc   none" in watcher.console.file.getvalue()


def test_an_interrupt_says_what_is_kept() -> None:
    watcher: Any = _Lines(console(terminal=False))
    watcher.interrupted("afm")
    assert watcher.console.file.getvalue() == (
        "interrupted: keeping the best epoch of afm so far\n"
    )


def test_a_whole_fit_leaves_a_line_for_each_epoch() -> None:
    watcher: Any = _Lines(console(terminal=False))
    epochs = watched(watcher)
    # ANNOUNCED stands there too where no fit has compiled before
    lines = [one for one in watcher.console.file.getvalue().splitlines() if one != ANNOUNCED]
    assert len(lines) == len(epochs) == 3
    for line, one in zip(lines, epochs, strict=True):
        assert f"valid loss {one.valid_loss:.4f}" in line
        assert line.endswith("best") == one.best


def test_a_bar_shows_loss_and_auc_and_leaves_the_lines() -> None:
    watcher: Any = _Bar(console(terminal=True))
    watched(watcher)
    watcher.stage("the report")
    shown = watcher.console.file.getvalue()
    assert len(re.findall(r"fm epoch +\d", shown)) == 3
    assert shown.endswith("now: the report\n")
    assert re.search(r"loss .*0\.\d{4}.* auc", shown)


def test_a_long_epoch_leaves_lines_with_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.fit.step.progress.SECONDS", 0.0)
    watcher: Any = _Lines(console(terminal=False))
    watcher.begin("fm", 4, 2, 1000)
    for _ in range(4):
        watcher.batch(0.5)
    lines = watcher.console.file.getvalue().splitlines()
    assert len(lines) == 4
    assert re.fullmatch(r"fm epoch  1  25%  loss 0\.5000  [\d,]+ rows/s, 0 s left", lines[0])


def test_a_bar_starts_anew_with_each_step() -> None:
    watcher: Any = _Bar(console(terminal=True))
    watcher.begin("fm", 10, 2, 1000)
    watcher.batch(0.5)
    watcher.begin("afm", 5, 2, 500)
    (task,) = watcher._progress.tasks
    watcher.stage("the report")
    assert (task.description, task.completed, task.total) == ("afm", 0, 10)


@pytest.mark.parametrize("terminal", [False, True])
def test_the_command_writes_control_codes_to_a_terminal_alone(
    tmp_path: Path, terminal: bool
) -> None:
    write_csv(tmp_path / "log.csv", tiny_rows(300))
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "fast.toml").write_text("[fit]\nepochs = 2\n")
    command = [sys.executable, "-m", "training.cli", "fit", "log.csv", "--schema", "schema.toml"]
    command += ["--net", "lr", "--config", "fast.toml", "--out", "bundle"]
    env = {**os.environ, "TERM": "xterm", "PYTHONPATH": os.getcwd()}  # noqa: PTH109  as it is
    reading, writing = pty.openpty() if terminal else os.pipe()
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=writing
    ) as process:
        os.close(writing)
        said = b""
        while part := _read(reading):
            said += part
        printed = not_none(process.stdout).read()
    os.close(reading)
    assert process.returncode == 0
    assert b"lr epoch" in said
    assert (b"\x1b[" in said) == terminal
    assert said.rfind(b"\x1b[?25h") >= said.rfind(b"\x1b[?25l"), "the cursor is hidden"
    assert b"\x1b[" not in printed


def _read(handle: Any) -> Any:
    try:
        return os.read(handle, 4096)
    except OSError:  # how a terminal says that its other end is gone
        return b""
