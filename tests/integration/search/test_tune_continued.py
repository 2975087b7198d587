"""A search that ended early, by itself or by force, goes on where it was."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from training.search.trial import running
from tuning import FAST, arguments, trials, tune


def test_a_search_goes_on_as_if_it_had_not_ended(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(home, "--trials", 7, out="whole") == 0
    assert tune(home, "--trials", 3) == 0
    capsys.readouterr()
    assert tune(home, "--trials", 7) == 0
    assert len(re.findall("^trial ", capsys.readouterr().err, flags=re.MULTILINE)) == 4
    assert trials(home) == trials(home, "whole")


def test_tune_resumes_without_repeating_trials(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(home, "--trials", 2) == 0
    before = trials(home)
    capsys.readouterr()
    assert tune(home, "--trials", 2) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "best.toml: trial" in printed.out
    assert trials(home) == before


# sends its own process a signal in the tenth epoch of the fourth trial: each has thirty
SIGNALLED = """
import os, sys
from training.cli import main
from training.search import trial

judged = trial._Pruner.epoch
left = 100

def epoch(self, epoch):
    global left
    judged(self, epoch)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), int(sys.argv[1]))

trial._Pruner.epoch = epoch
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 0)])
def test_a_search_that_was_ended_in_a_trial_goes_on_with_that_trial(
    home: Path, sent: signal.Signals, status: int
) -> None:
    long = FAST.replace("epochs = 4", "epochs = 30\npatience = 30")
    (home / "fast.toml").write_text(long)
    assert tune(home, "--trials", 5, out="whole") == 0
    command = [sys.executable, "-c", SIGNALLED, str(sent.value), *arguments(home, "--trials", 5)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == status, ended.stderr
    assert len(re.findall("^trial ", ended.stderr, flags=re.MULTILINE)) == 3
    if sent == signal.SIGINT:
        assert "interrupted: run the same command again to continue" in ended.stderr
        assert (home / "tuned" / "report.html").exists()
    assert tune(home, "--trials", 5) == 0
    assert trials(home) == trials(home, "whole")


def test_a_budget_of_minutes_ends_a_search(home: Path) -> None:
    first = after_budgets(home, 0)
    assert after_budgets(home, first) > first


def after_budgets(home: Path, before: int) -> int:
    """How many trials there are after a budget; on a slow machine one trial takes a few of them."""
    for _ in range(10):
        assert tune(home, "--minutes", 0.06) == 0
        if (found := len(trials(home))) > before:
            return found
    return before


class Clock:
    """Stands still until it was looked at so often, then an hour has passed."""

    def __init__(self, looks: Any) -> None:
        self._looks = looks

    def time(self) -> Any:
        self._looks -= 1
        return 0.0 if self._looks > 0 else 3600.0


def test_a_trial_that_outlasts_the_minutes_is_cut_and_gone_on_with(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.search.trial.KEPT_EVERY", 0.0)
    assert tune(home, "--trials", 1, out="whole") == 0
    (whole,) = trials(home, "whole")
    capsys.readouterr()
    with monkeypatch.context() as patched:
        clock = Clock(looks=20)  # seven batches an epoch
        patched.setattr("training.search.tune.time", clock)
        patched.setattr("training.search.trial.time", clock)
        assert tune(home, "--trials", 1, "--minutes", 1) == 0
    assert trials(home) == []
    assert "interrupted: run the same command again to continue" in capsys.readouterr().err
    kept = torch.load(running(home / "tuned", 0))
    assert len(kept["steps"]["fm"]["epochs"]) == 2
    kept["steps"]["fm"]["epochs"][0]["valid_loss"] = 99.0  # a mark that a new trial would not have
    torch.save(kept, running(home / "tuned", 0))
    assert tune(home, "--trials", 1) == 0
    (trial,) = trials(home)
    assert trial["curve"][0] == 99.0
    assert trial["curve"][1:] == whole["curve"][1:]
    assert trial["loss"] == whole["loss"]
    assert not running(home / "tuned", 0).exists()


@pytest.mark.parametrize("left", ["damaged", "of another trial"])
def test_trial_that_a_run_left_and_that_cannot_be_used_does_no_harm(home: Path, left: str) -> None:
    (home / "tuned").mkdir()
    path = running(home / "tuned", 0)
    if left == "damaged":
        path.write_bytes(b"\x00" * 100)
    else:
        torch.save({"inputs": {"trial": "7"}, "steps": {}}, path)
    assert tune(home, "--trials", 1) == 0
    assert not path.exists()
