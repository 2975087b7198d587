"""`afm-train fit`, `evaluate` and `predict`, called as a user calls them."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bundle_parts import probabilities_of, values_of
from fit_calls import FAST, fit, write_csv
from interrupted import interrupted, long_command
from model.bundle.bundle import Bundle
from model.bundle.golden import replay
from narrowing import not_none
from tiny import tiny_rows
from training.cli import main
from training.config import NETS


def test_fit_writes_a_bundle_that_scores_as_it_says(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(home) == 0
    printed = capsys.readouterr()
    assert "parity: torch and onnxruntime agree" in printed.out
    epochs, _, after = printed.err.partition("now: calibration")
    assert "epoch" in epochs
    assert "now: graphs, metrics and report" in after
    bundle = Bundle.open(home / "bundle")
    replay(bundle.read_golden(), bundle.read_encoder(), bundle.read_scorer())
    assert bundle.manifest.net == "ffm"
    assert 40 < bundle.manifest.metrics["valid"]["rows"] < 80  # a tenth of 600, by a hash
    assert not_none(bundle.manifest.held_out).share == 0.1
    assert bundle.manifest.training["seed"] == 1
    assert not [path for path in home.iterdir() if path.name.startswith(".")]


def test_the_same_seed_gives_the_same_files_bit_for_bit_and_another_seed_does_not(
    home: Path,
) -> None:
    for out, seed in (("one", 7), ("two", 7), ("three", 8)):
        assert fit(home, "--seed", seed, out=out) == 0
    digests = [
        {name: record.sha256 for name, record in Bundle.open(home / out).manifest.files.items()}
        for out in ("one", "two", "three")
    ]
    for digest in digests:
        digest.pop("report.html")  # it has the seconds that the fit took
    assert digests[0] == digests[1]
    assert digests[0]["weights.bin"] != digests[2]["weights.bin"]


def test_the_vocabulary_comes_from_the_training_part_alone(home: Path) -> None:
    rows = tiny_rows()
    held_out = [row | {"device": "only in valid"} for row in rows[:50]]
    write_csv(home / "valid.csv", held_out)
    assert fit(home, "--valid", home / "valid.csv", "--test", home / "valid.csv") == 0
    bundle = Bundle.open(home / "bundle")
    assert set(values_of(bundle, "device")) == {
        "ios",
        "android",
        "web",
    }
    assert bundle.manifest.metrics["test"] == bundle.manifest.metrics["valid"]


@pytest.mark.parametrize("net", NETS)
def test_evaluate_predict_and_torch_free_scoring_agree(
    home: Path, capsys: pytest.CaptureFixture[str], net: Any
) -> None:
    assert fit(home, "--net", net) == 0
    capsys.readouterr()
    assert main(["evaluate", str(home / "bundle"), str(home / "log.csv")]) == 0
    printed = capsys.readouterr()
    measured = json.loads(printed.out)
    assert printed.out.count("\n") == 1
    assert {"rows", "auc", "logloss", "rmse", "calibration_ratio", "ece"} <= measured.keys()
    for name in ("out.csv", "out.parquet"):
        arguments = [str(home / "bundle"), str(home / "log.csv"), "--out", str(home / name)]
        assert main(["predict", *arguments]) == 0
    bundle = Bundle.open(home / "bundle")
    by_rows = probabilities_of(bundle, tiny_rows())
    written = pl.read_parquet(home / "out.parquet")["probability"].to_numpy()
    assert np.array_equal(written, by_rows)
    text = pl.read_csv(home / "out.csv")["probability"].to_numpy()
    assert text.tolist() == pytest.approx(by_rows.tolist(), abs=1e-7)
    clicks = np.array([row["click"] for row in tiny_rows()])
    assert measured["calibration_ratio"] == pytest.approx(by_rows.mean() / clicks.mean(), rel=1e-6)


def test_predict_needs_no_label(home: Path) -> None:
    assert fit(home) == 0
    unlabelled = [{k: v for k, v in row.items() if k != "click"} for row in tiny_rows()]
    write_csv(home / "new.csv", unlabelled)
    assert (
        main(["predict", str(home / "bundle"), str(home / "new.csv"), "--out", str(home / "p.csv")])
        == 0
    )
    assert len(pl.read_csv(home / "p.csv")) == 600


def test_attention_learns_the_planted_pair(home: Path) -> None:
    (home / "fast.toml").write_text(FAST.replace("epochs = 2", "epochs = 30\nlearning_rate = 0.02"))
    # of 600 rows about 60 are held out, and whether these few show the pair is luck
    write_csv(home / "many.csv", tiny_rows(3000))
    assert fit(home, "--net", "fm", data="many.csv", out="fm") == 0
    assert fit(home, "--net", "lr", data="many.csv", out="lr") == 0
    auc = {net: Bundle.open(home / net).manifest.metrics["valid"]["auc"] for net in ("fm", "lr")}
    assert auc["fm"] > auc["lr"] + 0.05


def test_ctrl_c_keeps_the_best_epoch_and_still_writes_the_bundle(home: Path) -> None:
    ended = interrupted(home, "fit", "bundle")
    assert ended.status == 0, ended.err
    assert "interrupted: keeping the best epoch of ffm so far" in ended.err
    assert "version" in ended.out
    Bundle.open(home / "bundle")


def test_a_killed_fit_leaves_no_bundle(home: Path) -> None:
    command = long_command(home, "fit", "bundle")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.kill()
    time.sleep(0.1)
    assert not (home / "bundle").exists()
