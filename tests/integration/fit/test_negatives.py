"""Sampled negatives and calibration, called as a user calls them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from model.bundle.bundle import Bundle
from model.bundle.golden import replay
from model.schema import Schema
from task_fits import FAST, evaluate, fit, refused, schema, with_log
from training.cli import main
from training.simulate.simulation import write_simulation


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return with_log(tmp_path)


@pytest.mark.parametrize("option", ["--negatives-rate", "--negatives-kept"])
@pytest.mark.parametrize("rate", ["0", "-0.5", "1.1", "nan", "inf", "a tenth"])
def test_a_rate_outside_0_to_1_costs_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], option: str, rate: str
) -> None:
    schema(home, "click")
    refused(home, capsys, fit(home, f"{option}={rate}"), option, rate, "above 0 and up to 1")


@pytest.mark.parametrize("key", ["negatives_rate", "negatives_kept"])
def test_a_rate_of_the_configuration_is_checked_as_well(
    home: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    schema(home, "click")
    (home / "fast.toml").write_text(f"{key} = 1.5\n{FAST}")
    refused(home, capsys, fit(home), "fast.toml", key)


@pytest.mark.parametrize("task", ["regression", "ranking"])
def test_a_rate_of_negatives_is_for_clicks_alone(
    home: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    schema(home, task)
    refused(home, capsys, fit(home, "--negatives-rate", 0.5), f"and this is {task}")


def test_a_rate_that_leaves_no_negative_costs_one_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema(home, "click")
    code = fit(home, "--negatives-rate", 1e-9)
    refused(home, capsys, code, "with 1e-09 of its negatives", "both classes")


@pytest.mark.parametrize("kind", ["none", "temperature", "platt", "isotonic"])
def test_each_calibration_is_in_the_bundle_and_its_graph(home: Path, kind: str) -> None:
    schema(home, "click")
    (home / "fast.toml").write_text(f'calibration = "{kind}"\nvalid_share = 0.4\n{FAST}')
    assert fit(home, "--net", "fm", "--negatives-rate", "0.7") == 0
    bundle = Bundle.open(home / "bundle")
    replay(bundle.read_golden(), bundle.read_encoder(), bundle.read_scorer())
    calibration = bundle.manifest.calibration
    assert calibration.rate == 0.7
    assert bool(calibration.knots) == (kind == "isotonic")
    assert (calibration.scale != 1) == (kind in ("temperature", "platt"))
    assert bundle.manifest.training["calibration"]["kind"] == kind
    assert f"Calibration: {kind}." in (bundle.directory / "report.html").read_text()


def test_the_report_says_which_calibration_was_chosen_and_by_what(home: Path) -> None:
    schema(home, "click")
    assert fit(home, "--net", "fm") == 0
    chosen = Bundle.open(home / "bundle").manifest.training["calibration"]
    losses = chosen["cross_validated_logloss"]
    assert list(losses) == ["none", "temperature", "platt", "isotonic"]
    page = (home / "bundle" / "report.html").read_text()
    assert f"Calibration: {chosen['kind']}, the simplest whose" in page
    assert f"isotonic {losses['isotonic']:.5f}" in page


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("simulated") / "log"
    # so many rows, and so gentle a fit, that what is off is not the luck of the part held out
    write_simulation(home, 150_000, 1, 0.05)
    gentle = FAST.replace("learning_rate = 0.02", "learning_rate = 0.005").replace("s = 4", "s = 3")
    (home / "fast.toml").write_text(gentle.replace("batch = 128", "batch = 512"))
    return home


def inside(measured: Any) -> Any:
    low, high = measured["intervals"]["calibration_ratio"]
    return 0.98 <= measured["calibration_ratio"] <= 1.02 or low <= 1 <= high


def test_sampled_negatives_give_calibrated_probabilities(
    simulated: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(simulated, "--net", "fm", "--negatives-rate", "0.1", data="train.parquet") == 0
    bundle = Bundle.open(simulated / "bundle")
    assert bundle.manifest.calibration.rate == 0.1
    assert bundle.manifest.metrics["valid"]["rows"] > 10_500, "the part held out stays whole"
    measured = evaluate(simulated, capsys, data="test.parquet")
    assert inside(measured), measured
    assert measured["auc"] > 0.6


def test_a_log_that_was_sampled_before_gives_the_whole_log_s_probabilities(
    simulated: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of its parts hold a tenth of their negatives, and are weighed as if they held all."""
    read = Schema.load(simulated / "schema.toml")
    rng = np.random.default_rng(5)
    for name in ("train", "test"):
        frame = pl.read_parquet(simulated / f"{name}.parquet")
        keep = (frame[read.label].to_numpy() == 1) | (rng.random(len(frame)) < 0.1)
        frame.filter(pl.Series(keep)).write_parquet(simulated / f"{name}-sampled.parquet")
    option = ("--negatives-kept", "0.1")
    given = ["--net", "fm", *option, "--test", simulated / "test-sampled.parquet"]
    assert fit(simulated, *given, data="train-sampled.parquet", out="kept") == 0
    bundle = simulated / "kept"
    assert Bundle.open(bundle).manifest.calibration.rate == 0.1
    capsys.readouterr()
    found = {}
    for data, options in (("test", ()), ("test-sampled", option), ("test-sampled ", ())):
        path = simulated / f"{data.strip()}.parquet"
        assert main(["evaluate", str(bundle), str(path), *options]) == 0
        found[data] = json.loads(capsys.readouterr().out)
    assert inside(found["test"]), found["test"]
    assert inside(found["test-sampled"]), found["test-sampled"]
    assert found["test-sampled "]["calibration_ratio"] < 0.5, "unweighed, it is another log"
    written = Bundle.open(bundle).manifest.metrics["test"]
    assert written["logloss"] == pytest.approx(found["test-sampled"]["logloss"], rel=1e-6)
