"""What afm-train tune finds on a small log, and what it leaves."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from model.bundle.bundle import Bundle
from tiny import TINY_SCHEMA
from training.cli import main
from training.config import Config
from tuning import FAST, trials, tune


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
