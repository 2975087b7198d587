"""Regression and ranking, called as a user calls them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from model.bundle.bundle import Bundle
from model.bundle.golden import replay
from task_fits import FAST, evaluate, fit, refused, schema, with_log
from tiny import TINY_SCHEMA
from training.cli import main
from training.config import NETS
from training.data.read_log import read_log


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return with_log(tmp_path)


@pytest.mark.parametrize("net", NETS)
def test_regression_predicts_on_the_scale_of_the_target(
    home: Path, capsys: pytest.CaptureFixture[str], net: Any
) -> None:
    schema(home, "regression", label="spent")
    assert fit(home, "--net", net) == 0
    bundle = Bundle.open(home / "bundle")
    replay(bundle.read_golden(), bundle.read_encoder(), bundle.read_scorer())
    assert all(case.probabilities is None for case in bundle.read_golden())
    measured = evaluate(home, capsys)
    spent = pl.read_csv(home / "log.csv")["spent"].to_numpy()
    assert measured["rmse"] < 0.9 * spent.std()
    assert measured["r2"] == pytest.approx(1 - measured["rmse"] ** 2 / spent.var(), rel=1e-5)
    assert measured["auc"] is None
    assert measured["intervals"]["mae"][0] < measured["mae"] < measured["intervals"]["mae"][1]
    out = home / "scores.parquet"
    assert main(["predict", str(home / "bundle"), str(home / "log.csv"), "--out", str(out)]) == 0
    scores = pl.read_parquet(out)["score"].to_numpy()
    assert scores.mean() == pytest.approx(spent.mean(), abs=0.5)
    assert measured["mae"] == pytest.approx(np.abs(scores - spent).mean(), rel=1e-5)


def test_targets_of_minus_and_plus_one_are_made_of_labels_0_and_1(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema(home, "regression", more='targets = "plus_minus_one"')
    assert fit(home, "--net", "fm") == 0
    read = read_log(home / "log.csv", Bundle.open(home / "bundle").schema).labels
    assert set(read) == {-1.0, 1.0}
    clicks = pl.read_csv(home / "log.csv")["click"].to_numpy()
    assert np.array_equal(read, 2 * clicks - 1)
    assert evaluate(home, capsys)["rmse"] < read.std()


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("loss", ["pairwise", "listwise"])
def test_ranking_learns_the_order_within_groups(
    home: Path, capsys: pytest.CaptureFixture[str], net: Any, loss: str
) -> None:
    schema(home, "ranking", label="liked")
    (home / "fast.toml").write_text(f'loss = "{loss}"\n{FAST}')
    assert fit(home, "--net", net) == 0
    bundle = Bundle.open(home / "bundle")
    replay(bundle.read_golden(), bundle.read_encoder(), bundle.read_scorer())
    assert bundle.manifest.training["criterion"] == f"{loss} loss"
    assert "calibration" not in bundle.manifest.training
    measured = evaluate(home, capsys, "--bootstrap", "50", "--by", "device")
    low, high = measured["intervals"]["gauc"]
    assert low < measured["gauc"] < high
    assert measured["gauc"] > 0.65
    assert measured["ndcg"] > 0.65
    assert measured["logloss"] is None
    assert {part["value"] for part in measured["slices"]} == {"ios", "android", "web"}


def test_a_fit_that_is_ranked_by_pairs_ranks_as_well_as_one_of_clicks(home: Path) -> None:
    (home / "fast.toml").write_text(FAST.replace("epochs = 4", "epochs = 25"))
    found = {}
    for task in ("click", "ranking"):
        schema(home, task, more='group = "visit"' if task == "click" else "")
        assert fit(home, "--net", "fm", out=task) == 0
        found[task] = Bundle.open(home / task).manifest.metrics["valid"]["gauc"]
    assert found["ranking"] > found["click"] - 0.05
    assert found["ranking"] > 0.6


@pytest.mark.parametrize("task", ["regression", "ranking"])
def test_the_report_of_another_task_names_its_own_figures(home: Path, task: str) -> None:
    schema(home, task, label="spent" if task == "regression" else "click")
    assert fit(home, "--net", "afm") == 0
    page = (home / "bundle" / "report.html").read_text()
    named = {"regression": ("RMSE", "mean target"), "ranking": ("GAUC", "NDCG@10")}[task]
    for name in named:
        assert name in page
    assert "click rate" not in page
    assert "logloss" not in page


@pytest.mark.parametrize("task", ["regression", "ranking"])
def test_compare_takes_every_task(home: Path, task: str) -> None:
    schema(home, task, label="spent" if task == "regression" else "click")
    files = [("--schema", "schema.toml"), ("--config", "fast.toml"), ("--out", "compared")]
    arguments = [part for option, name in files for part in (option, str(home / name))]
    given = ["--nets", "lr,fm", "--seeds", "1"]
    assert main(["compare", str(home / "log.csv"), *arguments, *given]) == 0
    table = json.loads((home / "compared" / "results.json").read_text())["table"]
    expected = {"regression": {"rmse", "mae", "r2"}, "ranking": {"gauc", "ndcg@10", "ndcg"}}
    assert {row["metric"] for row in table} == expected[task]
    assert all(row["interval"] for row in table if row["net"] == "fm")
    page = (home / "compared" / "report.html").read_text()
    assert {"regression": "Mean squared error", "ranking": "Pairwise loss"}[task] in page


@pytest.mark.parametrize(
    ("head", "label", "says"),
    [
        ('task = "ranking"', "click", ["schema.toml", "needs a group"]),
        ('task = "ranking"\ngroup = "session"', "click", ["log.csv", "no column 'session'"]),
        ('targets = "plus_minus_one"', "click", ["schema.toml", "for task regression"]),
        ('task = "regression"\ntargets = "both"', "click", ["schema.toml", "targets"]),
        ('task = "regression"', "bad", ["log.csv", "row 1", "a finite number"]),
        ('task = "ranking"\ngroup = "visit"', "negative", ["row 1", "a number from 0 to 31"]),
        ('task = "regression"', "same", ["labels that differ", "all labels are 7"]),
        ('task = "ranking"\ngroup = "visit"', "same", ["labels that differ"]),
        ('task = "ranking"\ngroup = "visit"', "by_visit", ["a group whose labels differ"]),
        (
            'task = "regression"\ntargets = "plus_minus_one"',
            "spent",
            ["a label must be 0 or 1"],
        ),
    ],
)
def test_a_task_that_the_log_cannot_serve_costs_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], head: str, label: str, says: list[str]
) -> None:
    frame = pl.read_csv(home / "log.csv", infer_schema=False).with_columns(
        bad=pl.lit("inf"),
        negative=pl.lit("-1"),
        same=pl.lit("7"),
        by_visit=(pl.col("visit").str.tail(1) == "3").cast(pl.Int8),
    )
    frame.write_csv(home / "log.csv")
    text = TINY_SCHEMA.replace('label = "click"\n', f'{head}\nlabel = "{label}"\n')
    (home / "schema.toml").write_text(text)
    refused(home, capsys, fit(home), *says)


@pytest.mark.parametrize("part", ["valid", "test"])
def test_part_of_equal_labels_is_refused_before_a_ranking_is_trained(
    home: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    schema(home, "ranking")
    frame = pl.read_csv(home / "log.csv", infer_schema=False)
    frame.filter(pl.col("click") == "0").write_csv(home / "part.csv")
    code = fit(home, f"--{part}", home / "part.csv")
    refused(home, capsys, code, "part.csv", "labels that differ", "all labels are 0")
