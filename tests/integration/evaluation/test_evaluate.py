"""`afm-train evaluate` with intervals and slices, called as a user calls it."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from model.bundle.bundle import Bundle
from model.metrics.bootstrap import intervals, resample
from model.metrics.ranked_rows import NAMES
from narrowing import not_none
from tiny import tiny_rows
from training.cli import main
from training.data.read_log import read_log


def cells(row: Any) -> Any:
    return {name: "|".join(v) if isinstance(v, list) else v for name, v in row.items()}


@pytest.fixture
def log(tmp_path: Path) -> Any:
    path = tmp_path / "log.csv"
    pl.DataFrame([cells(row) for row in tiny_rows()], infer_schema_length=None).write_csv(path)
    return path


@pytest.fixture
def evaluate(tiny_bundle: Bundle, log: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*options: Any, data: Any = log) -> Any:
        code = main(["evaluate", str(tiny_bundle.directory), str(data), *map(str, options)])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else None, printed.err

    return run


def test_every_figure_has_an_interval_around_it(evaluate: Any) -> None:
    code, measured, err = evaluate()
    assert (code, err) == (0, "")
    assert measured["intervals"].keys() == set(NAMES)
    undefined = {"gauc", "ndcg@10", "ndcg", "mae", "r2"}  # without groups, and of clicks
    assert {name for name in NAMES if measured["intervals"][name] is None} == undefined
    assert all(measured[name] is None for name in undefined)
    for name in set(NAMES) - undefined - {"ece"}:  # noise adds to ece: its may lie above it
        low, high = measured["intervals"][name]
        assert low < measured[name] < high, name


def test_more_resamples_do_not_move_the_figures_and_none_give_no_intervals(evaluate: Any) -> None:
    plain, fifty = evaluate("--bootstrap", 0)[1], evaluate("--bootstrap", 50)[1]
    assert "intervals" not in plain
    assert fifty.pop("intervals")
    assert fifty == plain


def test_slices_add_up_to_the_whole(evaluate: Any) -> None:
    measured = evaluate("--by", "device", "--bootstrap", 20)[1]
    slices = measured["slices"]
    assert {part["value"] for part in slices} == {"ios", "android", "web"}
    for count in ("rows", "positives"):
        assert sum(part[count] for part in slices) == measured[count]
    for mean in ("logloss", "brier"):
        total = sum(part[mean] * part["rows"] for part in slices)
        assert total / measured["rows"] == pytest.approx(measured[mean])
    assert all(part["intervals"].keys() == set(NAMES) for part in slices)


def test_a_slice_names_the_ten_most_frequent_values_missing_and_others(evaluate: Any) -> None:
    slices = evaluate("--by", "hour", "--bootstrap", 0)[1]["slices"]
    values = [part["value"] for part in slices]
    assert len(values) == 12
    assert values[-2:] == [None, "(other)"]
    hours = [row["hour"] for row in tiny_rows()]
    assert slices[-2]["rows"] == hours.count(None)
    rows = [part["rows"] for part in slices[:10]]
    assert rows == sorted((hours.count(int(value)) for value in values[:10]), reverse=True)


def test_a_slice_of_one_class_leaves_its_ranking_undefined_and_is_named(
    evaluate: Any, tmp_path: Path
) -> None:
    rows = [cells(row | {"device": "tv", "click": 0}) for row in tiny_rows(5)]
    rows += [cells(row) for row in tiny_rows(200)]
    path = tmp_path / "one-class.csv"
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path)
    code, measured, err = evaluate("--by", "device", data=path)
    assert (code, err) == (0, "afm-train: no AUC in slices of one class: 'tv'\n")
    (tv,) = (part for part in measured["slices"] if part["value"] == "tv")
    assert (tv["rows"], tv["positives"], tv["auc"], tv["intervals"]["auc"]) == (5, 0, None, None)
    assert tv["logloss"] > 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--by", "colour"), "no column 'colour'; there are 'device'"),
        (("--bootstrap", "-1"), "--bootstrap -1"),
    ],
)
def test_bad_options_cost_one_line(evaluate: Any, options: Any, says: str) -> None:
    code, measured, err = evaluate(*options)
    assert (code, measured) == (2, None)
    assert err.count("\n") == 1
    assert says in err


def test_groups_of_the_schema_are_drawn_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tiny_rows(300)
    repeated = [
        cells(row) | {"visit": f"visit-{i:03}"} for i, row in enumerate(rows) for _ in range(8)
    ]
    log, schema, config = (tmp_path / name for name in ("log.csv", "schema.toml", "fast.toml"))
    pl.DataFrame(repeated, infer_schema_length=None).write_csv(log)
    fields = '[fields.device]\nkind = "categorical"\n[fields.ad]\nkind = "categorical"\n'
    schema.write_text(f'label = "click"\ngroup = "visit"\n{fields}')
    config.write_text('net = "lr"\n[fit]\nepochs = 1\n')
    out = tmp_path / "bundle"
    options = ["--schema", schema, "--config", config, "--out", out]
    assert main(["fit", str(log), *map(str, options)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(out), str(log)]) == 0
    printed = json.loads(capsys.readouterr().out)["intervals"]
    bundle = Bundle.open(out)
    scores = bundle.read_scorer().predict(bundle.read_encoder().encode(repeated))
    labels = [row["click"] for row in repeated]
    visits = read_log(log, bundle.schema).group  # in their order: the draws depend on it
    grouped = intervals(resample(labels, not_none(scores.probabilities), group=visits))
    alone = intervals(resample(labels, not_none(scores.probabilities)))
    assert printed["logloss"] == pytest.approx(grouped["logloss"])
    # a visit stands eight times: about sqrt(8) = 2.8 times as unsure as its rows on their own
    widths = [high - low for low, high in map(not_none, (grouped["logloss"], alone["logloss"]))]
    assert 2 < widths[0] / widths[1] < 4


def test_slices_may_be_by_a_column_that_is_no_field(evaluate: Any, tmp_path: Path) -> None:
    rows = [cells(row) | {"site": f"s{n % 3}"} for n, row in enumerate(tiny_rows())]
    path = tmp_path / "sites.csv"
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path)
    slices = evaluate("--by", "site", "--bootstrap", 0, data=path)[1]["slices"]
    assert [(part["value"], part["rows"]) for part in slices] == [
        ("s0", 200),
        ("s1", 200),
        ("s2", 200),
    ]
