"""`tune --stream` and `compare --stream`: on the encoded rows that an earlier command left."""

import json
from pathlib import Path

import pytest

from fit_calls import write_csv
from model.bundle.bundle import Bundle
from ranked_log import RANKING, ranked_rows
from streamed_calls import streamed, weights
from training.cli import main

REUSED = "encoded rows of an earlier fit"


def command(home: Path, name: str, *more: object) -> list[str]:
    files = {"schema": "schema.toml", "config": "config.toml", "out": f"{name}-out"}
    given = [word for key, place in files.items() for word in (f"--{key}", home / place)]
    return [name, *map(str, [home / "log.csv", *given, *more])]


def test_a_search_and_a_comparison_fit_as_a_streamed_fit_does_and_read_the_log_once(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(streamed(home, "bundle")) == 0
    assert REUSED not in capsys.readouterr().err
    assert main(command(home, "tune", "--net", "fm", "--trials", 1, "--stream")) == 0
    assert REUSED in capsys.readouterr().err
    fitted = Bundle.open(home / "bundle").manifest
    trial = json.loads((home / "tune-out" / "trials.json").read_text())["trials"][0]
    assert trial["loss"] == min(epoch["valid_loss"] for epoch in fitted.training["epochs"])
    more = "--nets", "fm,lr", "--seeds", "1", "--stream", "--readers", 1
    assert main(command(home, "compare", *more)) == 0
    assert REUSED in capsys.readouterr().err
    assert weights(home, "compare-out/fm-1") == weights(home, "bundle")
    found = json.loads((home / "compare-out" / "results.json").read_text())
    assert found["rows"] == {
        "train": 2000 - fitted.metrics["valid"]["rows"],
        "valid": fitted.metrics["valid"]["rows"],
        "test": 0,
    }
    means = {row["metric"]: row["mean"] for row in found["table"] if row["net"] == "fm"}
    assert means["auc"] == pytest.approx(fitted.metrics["valid"]["auc"], abs=1e-12)
    assert means["logloss"] == pytest.approx(fitted.metrics["valid"]["logloss"], abs=1e-12)


@pytest.mark.parametrize(
    ("name", "more", "wanted"),
    [
        ("tune", ["--stream", "--ray", "local"], "--stream: not with --ray"),
        ("compare", ["--stream", "--ray", "local"], "--stream: not with --ray"),
        ("compare", ["--stream", "--against", "lightgbm"], "--stream: not with --against"),
        ("compare", ["--readers", "2"], "--readers: goes with --stream"),
    ],
)
def test_what_does_not_go_with_a_stream_is_refused(
    home: Path, name: str, more: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(home, name, *more)) != 0
    assert wanted in capsys.readouterr().err


def test_a_search_and_a_comparison_of_a_log_that_is_ranked_fit_as_a_streamed_fit_does(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(home / "log.csv", ranked_rows(2000))
    (home / "schema.toml").write_text(RANKING)
    assert main(streamed(home, "bundle")) == 0
    assert main(command(home, "tune", "--net", "fm", "--trials", 1, "--stream")) == 0
    assert main(command(home, "compare", "--nets", "fm,lr", "--seeds", "1", "--stream")) == 0
    assert capsys.readouterr().err.count(REUSED) >= 2
    fitted = Bundle.open(home / "bundle").manifest
    trial = json.loads((home / "tune-out" / "trials.json").read_text())["trials"][0]
    assert trial["loss"] == min(epoch["valid_loss"] for epoch in fitted.training["epochs"])
    assert weights(home, "compare-out/fm-1") == weights(home, "bundle")
    table = json.loads((home / "compare-out" / "results.json").read_text())["table"]
    means = {row["metric"]: row["mean"] for row in table if row["net"] == "fm"}
    for name in ("gauc", "ndcg"):
        assert means[name] == pytest.approx(fitted.metrics["valid"][name], abs=1e-12)
