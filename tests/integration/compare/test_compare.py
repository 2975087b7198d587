"""`afm-train compare`, called as a user calls it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bundle_parts import probabilities_of
from fit_calls import write_csv
from interrupted import interrupted
from model.bundle.bundle import Bundle
from model.metrics.bootstrap import differences, resample
from narrowing import not_none
from tiny import TINY_SCHEMA, tiny_rows
from training.cli import main

FAST = """
embedding = 4
attention_size = 4
[fit]
epochs = 8
batch = 128
learning_rate = 0.02
[attention]
epochs = 1
batch = 128
"""


@pytest.fixture
def home(tmp_path: Path) -> Any:
    write_csv(tmp_path / "log.csv", tiny_rows())
    write_csv(tmp_path / "test.csv", tiny_rows(400, seed=9))
    (tmp_path / "schema.toml").write_text(TINY_SCHEMA)
    (tmp_path / "fast.toml").write_text(FAST)
    return tmp_path


def compare(home: Any, *more: Any) -> Any:
    arguments = ["--schema", home / "schema.toml", "--config", home / "fast.toml"]
    arguments += ["--out", home / "out", *more]
    return main(["compare", str(home / "log.csv"), *map(str, arguments)])


def test_two_nets_with_two_seeds_end_to_end(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--nets", "lr,fm", "--seeds", "1,2", "--test", home / "test.csv")
    assert compare(home, *options) == 0
    out = home / "out"
    printed = capsys.readouterr()
    names = {"lr-1", "lr-2", "fm-1", "fm-2"}
    assert {path.name for path in out.iterdir()} == names | {"report.html", "results.json"}
    assert not [path for path in home.iterdir() if path.name.startswith(".")]
    assert [line for line in printed.err.splitlines() if "seed" in line] == [
        "lr, seed 1",
        "lr, seed 2",
        "fm, seed 1",
        "fm, seed 2",
    ]

    results = json.loads((out / "results.json").read_text())
    assert (results["part"], results["rows"]) == ("test", {"train": 539, "valid": 61, "test": 400})
    assert results["runs"].keys() == names
    table = {(row["metric"], row["net"]): row for row in results["table"]}
    bundles = {name: Bundle.open(out / name) for name in names}
    for net in ("lr", "fm"):
        each = [bundles[f"{net}-{seed}"].manifest.metrics["test"]["auc"] for seed in (1, 2)]
        assert table["auc", net]["mean"] == pytest.approx(sum(each) / 2)
    assert table["auc", "lr"]["difference"] is None

    # the interval by hand: the mean of the seeds, on the same draws of rows
    rows = tiny_rows(400, seed=9)
    labels = [row["click"] for row in rows]
    drawn = {name: resample(labels, probabilities_of(b, rows)) for name, b in bundles.items()}
    expected = not_none(
        differences([drawn["lr-1"], drawn["lr-2"]], [drawn["fm-1"], drawn["fm-2"]])["auc"]
    )
    assert table["auc", "fm"]["difference"] == pytest.approx(expected.value, abs=1e-6)
    assert table["auc", "fm"]["interval"] == pytest.approx(expected.interval, abs=1e-6)

    lines = printed.out.splitlines()
    assert " ".join(lines[0].split()) == "metric net mean deviation minus lr 95 % interval"
    (fm,) = [lines[i + 1] for i, line in enumerate(lines) if line.startswith("auc ")]
    assert fm.split()[:2] == ["fm", f"{table['auc', 'fm']['mean']:.4f}"]
    assert fm.endswith("*") == expected.significant

    page = (out / "report.html").read_text()
    assert 'href="fm-2/report.html"' in page
    assert "http" not in page
    assert f"{table['auc', 'fm']['difference']:+.4f}" in page
    assert "One split; rows: 539 train, 61 valid, 400 test. Seeds: 1, 2." in page


def test_the_runs_share_one_split_and_differ_by_seed_alone(home: Path) -> None:
    assert compare(home, "--nets", "fm", "--seeds", "3,4") == 0
    first, second = (Bundle.open(home / "out" / f"fm-{seed}") for seed in (3, 4))
    same = ["schema.toml", "vocabulary/ad.json", "vocabulary/price.json"]
    for name in same:
        assert first.manifest.files[name] == second.manifest.files[name]
    assert first.manifest.files["weights.bin"] != second.manifest.files["weights.bin"]
    valid = [bundle.manifest.metrics["valid"] for bundle in (first, second)]
    assert valid[0]["positives"] == valid[1]["positives"]
    rows = [next(iter(bundle.read_golden())).request for bundle in (first, second)]
    assert rows[0] == rows[1]


def test_nfm_and_both_kinds_of_afm_are_held_to_fm_where_no_nets_are_named(home: Path) -> None:
    assert compare(home, "--seeds", "1") == 0
    results = json.loads((home / "out" / "results.json").read_text())
    assert results["nets"] == ["fm", "nfm", "afm", "afm+"]
    held = {row["net"] for row in results["table"] if row["difference"] is not None}
    assert held == {"nfm", "afm", "afm+"}


def test_without_test_rows_the_report_says_that_valid_flatters(home: Path) -> None:
    assert compare(home, "--nets", "lr,fm", "--seeds", "1") == 0
    page = (home / "out" / "report.html").read_text()
    assert "There were no test rows" in page
    results = json.loads((home / "out" / "results.json").read_text())
    assert results["part"] == "valid"
    assert all(row["deviation"] is None for row in results["table"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--nets", "fm,deepfm"), "no net 'deepfm'; there are lr, fm"),
        (("--nets", "fm,fm"), "--nets: fm is given twice"),
        (("--seeds", "1,1"), "--seeds: 1 is given twice"),
        (("--seeds", "1,x"), "--seeds 'x': a whole number"),
        (("--nets", ""), "no net ''"),
        (("--test", "none.csv"), "none.csv"),
    ],
)
def test_bad_input_costs_one_line_and_leaves_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], options: Any, says: str
) -> None:
    before = sorted(path.name for path in home.iterdir())
    assert compare(home, *options) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert says in printed.err
    assert sorted(path.name for path in home.iterdir()) == before


def test_an_out_directory_that_exists_is_kept(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "out").mkdir()
    (home / "out" / "mine").write_text("kept")
    assert compare(home) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in (home / "out").iterdir()] == ["mine"]


def test_ctrl_c_leaves_nothing(home: Path) -> None:
    ended = interrupted(home, "compare", "out")
    assert ended.status == 130, ended.err
    assert "interrupted, nothing written" in ended.err
    assert ended.out == ""
    assert not [path for path in home.iterdir() if "out" in path.name]


def test_the_price_of_explanation_is_the_paired_gap_to_lightgbm(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lightgbm", reason="needs the extra lightgbm")
    write_csv(home / "log.csv", tiny_rows(3000))
    options = ("--nets", "lr", "--seeds", "1", "--test", home / "test.csv")
    assert compare(home, *options, "--against", "lightgbm") == 0
    printed = capsys.readouterr().out
    found = json.loads((home / "out" / "results.json").read_text())["against"]
    assert found["trees"] > 1
    # it sees what the net sees: the planted pair of device and ad, which LR cannot have
    assert found["figures"]["auc"] > 0.65
    gap = found["gaps"]["lr"]["auc"]
    bundle = Bundle.open(home / "out" / "lr-1")
    own = bundle.manifest.metrics["test"]["auc"]
    assert gap["difference"] == pytest.approx(own - found["figures"]["auc"])
    assert gap["interval"][0] <= gap["difference"] <= gap["interval"][1] < 0
    line = f"the price of explanation, lr to lightgbm: AUC {own:.4f} to "
    assert line in printed
    assert line[1:] in (home / "out" / "report.html").read_text()


def test_lightgbm_that_is_not_installed_is_asked_for(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert compare(home, "--nets", "lr", "--against", "lightgbm") == 2
    error = "afm-train: --against lightgbm: pip install 'ctr-afm[lightgbm]' first\n"
    assert capsys.readouterr().err == error
    assert not (home / "out").exists()
    assert compare(home, "--nets", "lr", "--against", "xgboost") == 2
    assert "--against: no 'xgboost'; there is lightgbm" in capsys.readouterr().err
