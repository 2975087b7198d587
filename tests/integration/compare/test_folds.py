"""`afm-train folds`, and the share of a log that `fit` tests on, called as a user calls them."""

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import polars as pl
import pytest

from model.bundle.bundle import Bundle
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main


@pytest.fixture
def given(tmp_path: Path) -> Any:
    rows = [row | {"interests": None} for row in tiny_rows(600)]
    pl.DataFrame(rows, infer_schema_length=None).write_csv(tmp_path / "log.csv")
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "config.toml").write_text("validation_rows = 50\n[fit]\nepochs = 1\n")
    words = ["log.csv", "--schema", "schema.toml", "--config", "config.toml"]
    return [str(tmp_path / word) if "." in word else word for word in words]


def test_folds_print_the_spread_of_their_figures(
    given: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "folds"
    assert main(["folds", *given, "--net", "lr", "--folds", "3", "--out", str(out)]) == 0
    figures = json.loads((out / "folds.json").read_text())
    bundles = [Bundle.open(out / f"fold-{n}") for n in (1, 2, 3)]
    tested = [bundle.manifest.metrics["test"] for bundle in bundles]
    assert sum(one["rows"] for one in tested) == 600
    assert figures["auc"] == [one["auc"] for one in tested]
    expected = f"auc                {mean(figures['auc']):.4f} +- {stdev(figures['auc']):.4f} "
    assert expected in capsys.readouterr().out


def test_fit_tests_on_a_share_of_its_log(
    given: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*given, "--net", "lr", "--out", str(tmp_path / "bundle"), "--test-share", "0.25"]
    assert main(["fit", *words]) == 0
    tested = Bundle.open(tmp_path / "bundle").manifest.metrics["test"]["rows"]
    assert tested == pytest.approx(150, abs=2)  # a quarter of each class
    assert main(["fit", *words[:-1], "1"]) == 2
    assert "--test-share: a number below 1" in capsys.readouterr().err
    assert main(["folds", *given, "--folds", "1", "--out", str(tmp_path / "f")]) == 2
    assert "--folds 1: 2 or more" in capsys.readouterr().err
