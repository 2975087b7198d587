"""Regression, ranking, sampled negatives and calibration, called as a user calls them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from model.bundle.bundle import Bundle
from model.bundle.golden import replay
from model.schema import Schema
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main
from training.config import NETS
from training.data.read_log import read_log
from training.simulate.simulation import write_simulation

FAST = """
embedding = 4
attention_size = 4
[fit]
epochs = 4
batch = 128
learning_rate = 0.02
[attention]
epochs = 1
batch = 128
"""
HEADS = {
    "click": "",
    "regression": 'task = "regression"',
    "ranking": 'task = "ranking"\ngroup = "visit"',
}


@pytest.fixture
def home(tmp_path: Path) -> Any:
    rng, rows = np.random.default_rng(0), []
    for i, row in enumerate(tiny_rows(900)):
        lists: dict[str, Any] = {
            n: "|".join(v) if isinstance(v, list) else v for n, v in row.items()
        }
        spent = 2.0 * lists["click"] + {"ios": 40.0, "android": 38.0, "web": 42.0}[row["device"]]
        liked = int(rng.random() < (0.8 if row["ad"] in ("a1", "a4", "a7", "a8", "a9") else 0.2))
        rows.append(lists | {"visit": f"v{i // 6}", "spent": spent, "liked": liked})
    pl.DataFrame(rows, infer_schema_length=None).write_csv(tmp_path / "log.csv")
    (tmp_path / "fast.toml").write_text(FAST)
    return tmp_path


def schema(home: Any, task: Any, label: Any = "click", more: Any = "") -> None:
    head = f'{HEADS[task]}\n{more}\nlabel = "{label}"\n'
    (home / "schema.toml").write_text(TINY_SCHEMA.replace('label = "click"\n', head))


def fit(home: Any, *more: Any, data: Any = "log.csv", out: Any = "bundle") -> Any:
    files = [("--schema", "schema.toml"), ("--config", "fast.toml"), ("--out", out)]
    arguments = [part for option, name in files for part in (option, str(home / name))]
    return main(["fit", str(home / data), *arguments, *map(str, more)])


def evaluate(
    home: Any, capsys: pytest.CaptureFixture[str], *more: Any, data: Any = "log.csv"
) -> Any:
    capsys.readouterr()
    assert main(["evaluate", str(home / "bundle"), str(home / data), *map(str, more)]) == 0
    return json.loads(capsys.readouterr().out)


def refused(home: Any, capsys: pytest.CaptureFixture[str], code: Any, *says: Any) -> None:
    printed = capsys.readouterr()
    assert code == 2, printed.err
    assert printed.err.count("\n") == 1, printed.err
    assert printed.err.startswith("afm-train: ")
    for part in says:
        assert part in printed.err
    assert not (home / "bundle").exists()
    assert not [path for path in home.iterdir() if path.name.startswith(".")]


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
