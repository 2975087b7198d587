"""A bundle in a notebook: frames of every library, rows, explanations, Jupyter, pickle."""

import pickle
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ctr_afm import Bundle, evaluate, explain
from ctr_afm.bundle import _unpacked
from ctr_afm.frames import table_of
from model.bundle.opened import OpenedBundle
from model.errors import BundleError, DataError, InputError
from model.schema import Schema
from tiny import tiny_rows
from training.data.table import plain

ROWS = tiny_rows(200, seed=4)


@pytest.fixture(scope="module")
def opened(tiny_bundle: Bundle) -> Any:
    return Bundle.open(str(tiny_bundle.directory))


@pytest.fixture(scope="module")
def expected(opened: Any) -> Any:
    return opened.predict(ROWS)


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame(ROWS),
        pl.LazyFrame(ROWS),
        pd.DataFrame(ROWS),
        pd.DataFrame(ROWS).convert_dtypes(),
        pd.DataFrame(ROWS).astype({"device": "category"}),
        pd.DataFrame(pl.DataFrame(ROWS).to_dict()),  # lists as arrays of numpy
        pl.DataFrame(ROWS).to_arrow(),
        pl.DataFrame(ROWS).to_arrow().to_batches()[0],
    ],
    ids=lambda frame: f"{type(frame).__module__}.{type(frame).__name__}",
)
def test_frame_of_any_library_scores_as_the_same_rows_do(
    opened: Any, expected: Any, frame: Any
) -> None:
    assert expected.dtype == np.float32
    assert len(set(expected.tolist())) > 100
    assert opened.predict(frame).tolist() == expected.tolist()


MOMENT = pd.Timestamp("2026-11-28T09:30:00.123456789", tz="Europe/Vienna")


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        (pd.Series([1.5, float("nan")]), [1.5, None]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series([True, None], dtype="boolean"), [True, None]),
        (pd.Series(["a", None]), ["a", None]),
        (pd.Series(["a", None], dtype="category"), ["a", None]),
        (pd.Series([0.1, None], dtype="float32"), [0.1, None]),
        (pd.Series([1, "a", None, 2.5, True], dtype=object), ["1", "a", None, "2.5", "true"]),
        (pd.Series([["a", 1], np.array(["b"]), None]), ['["a", 1]', '["b"]', None]),
        (pd.Series([Decimal("0.50"), None], dtype=object), ["0.50", None]),
        (pd.Series([MOMENT, pd.NaT]), ["2026-11-28T08:30:00.123456789Z", None]),
        (pd.Series([MOMENT, None], dtype=object), [MOMENT.isoformat(), None]),
        (pd.Series([1, 2], dtype="int8"), [1, 2]),
    ],
    ids=str,
)
def test_column_of_pandas_has_the_values_that_json_has(column: Any, cells: Any) -> None:
    table: Any = table_of(pd.DataFrame({"x": column}))
    assert plain(table.frame["x"], table).to_list() == cells


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (pd.DataFrame({"x": [pd.Timedelta(1), pd.Timedelta(2)]}), "Timedelta"),
        (pd.DataFrame({"x": [{"a": 1}]}), "column 'x', row 1"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "more than one column 'x'"),
        (pd.DataFrame({"x": []}), "no rows"),
        ([], "no rows"),
    ],
    ids=str,
)
def test_frame_that_holds_no_values_is_refused_by_its_place(frame: Any, named: str) -> None:
    with pytest.raises(DataError, match=named):
        table_of(frame)


@pytest.mark.parametrize("data", [None, 7, {"x": [1]}, ["a.csv", {"x": 1}]], ids=str)
def test_what_is_no_frame_is_a_type_error(data: Any) -> None:
    with pytest.raises(TypeError, match="expected a frame of polars, pandas or Arrow"):
        table_of(data)


def test_fault_of_a_row_names_it(opened: Any) -> None:
    with pytest.raises(InputError) as caught:
        opened.predict([ROWS[0], {**ROWS[1], "price": True}])
    assert (caught.value.row, caught.value.field) == (1, "price")
    with pytest.raises(DataError, match="no column 'device'; there are 'ad', 'price'"):
        opened.predict(pl.DataFrame(ROWS).select("ad", "price"))


def test_evaluate_gives_the_metrics_of_the_command(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame(ROWS).write_parquet(path)
    of_file = evaluate(opened.directory, path, by="device", resamples=20)
    of_frame = evaluate(opened, pd.DataFrame(ROWS), "device", resamples=20)
    assert of_frame == of_file
    assert {part["value"] for part in of_frame["slices"]} == {"android", "ios", "web"}


def test_explanation_adds_up_to_the_logit(opened: Any, expected: Any) -> None:
    found = explain(opened, pl.DataFrame(ROWS), top=3)
    for one, probability in zip(found, expected, strict=True):
        terms = [one["bias"], one["rest"]["contribution"]]
        terms += [term["contribution"] for kind in ("linear", "pairs") for term in one[kind]]
        assert sum(terms) == pytest.approx(one["logit"], abs=1e-5)
        assert one["probability"] == probability
        assert len(one["pairs"]) <= 3
    assert explain(opened.directory, ROWS[:1], top=3)[0]["pairs"][0].keys() == {
        *("fields", "values", "attention", "interaction", "contribution")
    }


def test_bundle_shows_itself_without_private_fields(opened: Any) -> None:
    shown = opened._repr_html_()
    assert repr(opened) == f"<Bundle {opened.version}: afm, 5 fields>"
    for text in (opened.version, "<td>device</td><td>categorical</td><td>context</td><td>3</td>"):
        assert text in shown
    assert "private" not in shown
    keys = opened.schema.model_dump()
    keys["fields"]["device"]["private"] = True
    found = OpenedBundle.open(opened.directory)
    bundle = replace(found.bundle, schema=Schema.model_validate(keys))
    hidden = Bundle(OpenedBundle(bundle, found.vocabularies))._repr_html_()
    assert "device" not in hidden
    assert "1 private field not shown" in hidden


def test_bundle_that_was_pickled_scores_the_same_from_another_place(
    opened: Any, expected: Any
) -> None:
    copy = pickle.loads(pickle.dumps(opened))  # noqa: S301  its own
    place = copy.directory
    assert place != opened.directory
    assert copy.predict(ROWS).tolist() == expected.tolist()
    del copy
    assert not place.exists()


def test_pickle_with_a_file_outside_the_bundle_is_refused() -> None:
    with pytest.raises(ValueError, match="no file of a bundle"):
        _unpacked({"../../evil": b""})


def test_open_of_what_is_no_bundle_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such directory"):
        Bundle.open(tmp_path / "none")
