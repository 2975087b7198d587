"""`afm-train tune`: a search on a small log, continued, killed, interrupted, misused."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from model.bundle.bundle import Bundle
from narrowing import not_none
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main
from training.config import Config
from training.search.trial import running

FAST = """
net = "fm"
embedding = 4
attention_size = 4
[fit]
epochs = 4
batch = 128
learning_rate = 0.001
[attention]
epochs = 1
batch = 128
"""


@pytest.fixture
def home(tmp_path: Path) -> Any:
    rows = [
        {name: "|".join(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in tiny_rows(900)
    ]
    pl.DataFrame(rows, infer_schema_length=None).write_csv(tmp_path / "log.csv")
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "fast.toml").write_text(FAST)
    return tmp_path


def arguments(home: Any, *more: Any, out: Any = "tuned") -> Any:
    files = ["--schema", home / "schema.toml", "--config", home / "fast.toml", "--out", home / out]
    return ["tune", *map(str, [home / "log.csv", *files, *more])]


def tune(home: Any, *more: Any, out: Any = "tuned") -> Any:
    return main(arguments(home, *more, out=out))


def trials(home: Any, out: Any = "tuned") -> Any:
    """The trials of a search, without the seconds that they took."""
    found = json.loads((home / out / "trials.json").read_text())["trials"]
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in found]


def refused(capsys: pytest.CaptureFixture[str], code: Any, *says: Any) -> None:
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    for part in says:
        assert part in printed.err


def test_a_search_leaves_its_trials_a_report_and_a_winner_that_fit_reads(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(home, "--trials", 6) == 0
    printed = capsys.readouterr()
    assert printed.err.count("\ntrial ") + printed.err.startswith("trial ") == 6
    found = json.loads((home / "tuned" / "trials.json").read_text())
    complete = [trial for trial in found["trials"] if trial["state"] == "complete"]
    assert [trial["number"] for trial in found["trials"]] == [1, 2, 3, 4, 5, 6]
    best = min(complete, key=lambda trial: trial["loss"])
    assert found["best"] == best["number"]
    assert printed.out.splitlines()[1].split()[:2] == [str(best["number"]), f"{best['loss']:.5f}"]
    assert f"best.toml: trial {best['number']}" in printed.out
    files = ["--schema", str(home / "schema.toml"), "--config", str(home / "tuned" / "best.toml")]
    assert main(["fit", str(home / "log.csv"), *files, "--out", str(home / "bundle")]) == 0
    metrics = Bundle.open(home / "bundle").manifest.metrics
    assert metrics["valid"]["logloss"] == pytest.approx(best["loss"], rel=1e-6)


def test_the_first_trial_is_the_configuration_itself(home: Path) -> None:
    assert tune(home, "--trials", 1) == 0
    (trial,) = trials(home)
    assert trial["parameters"]["fit.learning_rate"] == 0.001
    assert trial["parameters"]["embedding"] == 4
    config = Config.load(home / "fast.toml").settled(800, 5)  # the same for any log as short
    assert Config.load(home / "tuned" / "best.toml").model_dump() == config.model_dump()


def test_a_search_finds_better_settings_than_a_bad_configuration(home: Path) -> None:
    assert tune(home, "--trials", 8) == 0
    found = trials(home)
    losses = [trial["loss"] for trial in found if trial["state"] == "complete"]
    assert min(losses) < losses[0] - 0.01


def test_the_same_seed_draws_the_same_trials_and_another_seed_others(home: Path) -> None:
    for out, seed in (("one", 3), ("two", 3), ("three", 4)):
        assert tune(home, "--trials", 4, "--seed", seed, out=out) == 0
    assert trials(home, "one") == trials(home, "two")
    assert trials(home, "one")[1]["parameters"] != trials(home, "three")[1]["parameters"]


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


def begun(path: Any) -> Any:
    """How many trials have begun, in a file that another process writes."""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            return connection.execute("select count(*) from trials").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 0)])
def test_a_search_that_was_ended_in_a_trial_goes_on_with_that_trial(
    home: Path, sent: Any, status: int
) -> None:
    long = FAST.replace("epochs = 4", "epochs = 30\npatience = 30")
    (home / "fast.toml").write_text(long)
    assert tune(home, "--trials", 5, out="whole") == 0
    command = [sys.executable, "-m", "training.cli", *arguments(home, "--trials", 5)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 90
        while begun(home / "tuned" / "trials.sqlite") < 3:
            assert time.monotonic() < deadline
            assert process.poll() is None, not_none(process.stderr).read()
            time.sleep(0.01)
        os.kill(process.pid, sent)
        _, said = process.communicate(timeout=60)
        assert process.returncode == status
    if sent == signal.SIGINT:
        assert b"interrupted: run the same command again to continue" in said
        assert (home / "tuned" / "report.html").exists()
    assert tune(home, "--trials", 5) == 0
    assert trials(home) == trials(home, "whole")


def test_a_budget_of_minutes_ends_a_search(home: Path) -> None:
    assert tune(home, "--minutes", 0.06) == 0
    first = len(trials(home))
    assert first >= 1
    assert tune(home, "--minutes", 0.06) == 0
    assert len(trials(home)) > first


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


def test_hopeless_trials_are_ended_early(home: Path) -> None:
    long = FAST.replace("epochs = 4", "epochs = 12\npatience = 12").replace("0.001", "0.02")
    (home / "fast.toml").write_text(long)
    assert tune(home, "--trials", 16) == 0
    found = trials(home)
    pruned = [trial for trial in found if trial["state"] == "pruned"]
    assert pruned
    assert all(3 <= len(trial["curve"]) < 12 for trial in pruned)
    best = min(trial["loss"] for trial in found if trial["state"] == "complete")
    assert all(trial["loss"] > best for trial in pruned)


@pytest.mark.parametrize("net", ["lr", "afm", "afm+", "nfm", "ffm"])
def test_every_net_can_be_searched_for(home: Path, net: str) -> None:
    assert tune(home, "--trials", 2, "--net", net) == 0
    assert Config.load(home / "tuned" / "best.toml").net == net


def test_ranking_is_searched_by_its_own_loss(home: Path) -> None:
    rows = pl.read_csv(home / "log.csv").with_columns(visit=pl.int_range(900) // 6)
    rows.write_csv(home / "log.csv")
    head = 'task = "ranking"\ngroup = "visit"\n'
    (home / "schema.toml").write_text(head + TINY_SCHEMA)
    assert tune(home, "--trials", 2) == 0
    assert json.loads((home / "tuned" / "trials.json").read_text())["criterion"] == (
        "valid pairwise loss"
    )


def test_the_report_is_one_file_that_names_the_winner(home: Path) -> None:
    assert tune(home, "--trials", 5) == 0
    page = (home / "tuned" / "report.html").read_text()
    best = json.loads((home / "tuned" / "trials.json").read_text())["best"]
    assert f"Best: trial {best}" in page
    assert "Loss by trial" in page
    assert "fit.learning_rate" in page
    assert not re.search(r"(src|href)=.https?:", page)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ((), ["--trials or --minutes"]),
        (("--trials", 0), ["--trials 0", "above 0"]),
        (("--trials", -1), ["--trials -1"]),
        (("--minutes", 0), ["--minutes 0"]),
        (("--minutes", "nan"), ["--minutes nan"]),
    ],
)
def test_a_search_without_a_budget_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str], more: Any, says: list[str]
) -> None:
    refused(capsys, tune(home, *more), *says)
    assert not (home / "tuned").exists()


def test_another_search_in_the_same_place_is_refused_by_what_differs(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(home, "--trials", 1) == 0
    capsys.readouterr()
    refused(capsys, tune(home, "--trials", 1, "--seed", 2), "seed 1, not 2", "trials.sqlite")
    refused(capsys, tune(home, "--trials", 1, "--net", "lr"), "net fm, not lr")
    assert len(trials(home)) == 1


def test_a_log_of_other_rows_is_refused_though_it_has_as_many_of_each_class(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(home, "--trials", 1) == 0
    frame = pl.read_csv(home / "log.csv")
    frame.with_columns(pl.col("ad").reverse()).write_csv(home / "log.csv")
    capsys.readouterr()
    refused(capsys, tune(home, "--trials", 2), "trials.sqlite", "was begun with rows ")
    assert len(trials(home)) == 1


def test_a_place_in_use_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import fcntl

    (home / "tuned").mkdir()
    with (home / "tuned" / ".trials.sqlite.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused(capsys, tune(home, "--trials", 1), "another search is at work")


def test_a_file_that_is_none_of_trials_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "tuned").mkdir()
    (home / "tuned" / "trials.sqlite").write_text("no database " * 100)
    refused(capsys, tune(home, "--trials", 1), "trials.sqlite: not a file of trials")


def test_a_log_that_cannot_be_fitted_is_refused_and_leaves_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_class = pl.read_csv(home / "log.csv").with_columns(click=pl.lit(1))
    one_class.write_csv(home / "log.csv")
    refused(capsys, tune(home, "--trials", 1), "both classes")
    assert not (home / "tuned").exists()
