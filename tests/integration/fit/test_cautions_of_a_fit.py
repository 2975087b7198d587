"""A leak and unknown values, from `afm-train` as a user calls it to stderr, report and manifest."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from training.cli import main

SCHEMA = """
label = "click"
[fields.device]
kind = "categorical"
[fields.noise]
kind = "categorical"
[fields.user]
kind = "categorical"
[fields.revenue]
kind = "numeric"
"""
FAST = 'net = "lr"\n[fit]\nepochs = 6\nlearning_rate = 0.05\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("leak")
    rng = np.random.default_rng(3)
    device = rng.choice(["ios", "web"], 1500)
    clicks = (rng.random(1500) < np.where(device == "ios", 0.6, 0.1)).astype(int)
    columns = {
        "click": clicks,
        "device": device,
        "noise": rng.choice(["x", "y", "z"], 1500),
        "user": rng.choice([f"u{n}" for n in range(40)], 1500),  # rows of their own to hold out
        "revenue": clicks * rng.random(1500),
    }
    frame = pl.DataFrame(columns)
    frame.write_csv(folder / "log.csv")
    frame.with_columns(device=pl.lit("tv"), noise=pl.lit("w")).write_csv(folder / "strange.csv")
    (folder / "schema.toml").write_text(SCHEMA)
    (folder / "fast.toml").write_text(FAST)
    return folder


def fit(home: Any, out: Any, *more: Any) -> Any:
    files = ["--schema", home / "schema.toml", "--config", home / "fast.toml", "--out", home / out]
    return main(["fit", *map(str, [home / "log.csv", *files, *more])])


def warnings_and_page(home: Any, out: Any) -> Any:
    manifest = json.loads((home / out / "manifest.json").read_text())
    return manifest["warnings"], (home / out / "report.html").read_text()


def test_a_search_warns_of_a_leak_as_a_fit_does(
    home: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--schema", home / "schema.toml", "--config", home / "fast.toml"]
    options = ["--out", home / "searched", "--trials", "1"]
    assert main(["tune", *map(str, [home / "log.csv", *files, *options])]) == 0
    error = capsys.readouterr().err
    (leak,) = json.loads((home / "searched" / "trials.json").read_text())["warnings"]
    assert leak.startswith("LEAK: column 'revenue'")
    assert f"afm-train: warning: {leak}\n" in error
    assert "LEAK: column" in (home / "searched" / "report.html").read_text()


def test_a_leak_and_unknown_test_rows_are_named_everywhere(
    home: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(home, "leaky", "--test", home / "strange.csv") == 0
    error = capsys.readouterr().err
    warnings, page = warnings_and_page(home, "leaky")
    leak, unknown = warnings
    assert leak.startswith("LEAK: column 'revenue': its values rank the label by themselves")
    assert unknown == (
        "100 % of the values of 2 fields are unknown in the test part: 'device', 'noise'"
    )
    for line in warnings:
        assert f"warning: {line}" in error
    assert "Warning: LEAK: column &#39;revenue&#39;" in page


def test_a_dropped_field_is_gone_and_each_that_is_left_has_its_worth(
    home: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(home, "honest", "--drop-field", "revenue") == 0
    assert "warning" not in capsys.readouterr().err
    warnings, page = warnings_and_page(home, "honest")
    assert warnings == []
    assert "[fields.revenue]" not in (home / "honest" / "schema.toml").read_text()
    fields = page.partition("<h2>Fields</h2>")[2].partition("</section>")[0]
    # in the order of what they are worth
    assert fields.index(">device<") < fields.index(">noise<")
    assert main(["evaluate", str(home / "honest"), str(home / "strange.csv")]) == 0
    line = "100 % of the values of 2 fields are unknown in strange.csv: 'device', 'noise'"
    printed = capsys.readouterr()
    assert json.loads(printed.out)["warnings"] == [line]
    assert f"afm-train: warning: {line}" in printed.err
    out = str(home / "scores.csv")
    assert main(["predict", str(home / "honest"), str(home / "strange.csv"), "--out", out]) == 0
    assert f"afm-train: warning: {line}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (["price"], "no field 'price' to drop; there are 'device', 'noise', 'user', 'revenue'"),
        (["device", "noise", "user", "revenue"], "no field is left when all are dropped"),
    ],
)
def test_a_field_that_cannot_be_dropped_is_one_line(
    home: Any, capsys: pytest.CaptureFixture[str], names: list[str], error: str
) -> None:
    dropped = [part for name in names for part in ("--drop-field", name)]
    assert fit(home, "none", *dropped) == 2
    assert capsys.readouterr().err == f"afm-train: {error}\n"
