"""What a column of a table becomes: labels, or values that JSON can hold."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from model.errors import DataError
from training.data.read_log import label_array
from training.data.table import plain

PATH = Path("log.csv")


@pytest.mark.parametrize(
    "cells",
    [
        ["0", "1"],
        ["0.0", " 1 "],
        ["false", "True"],
        [0, 1],
        [0.0, 1.0],
        [False, True],
        [" No ", "YES"],
        ["n", "Y"],
        ["f", "T"],
    ],
)
def test_a_click_may_be_written_in_numbers_booleans_or_words(cells: Any) -> None:
    labels = label_array(pl.Series("click", cells), "click", PATH)
    assert labels.dtype == np.float32
    assert labels.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("cell", ["2", "yes", "True.", "-1", "0.5", "nan", "inf"])
def test_another_label_is_refused_with_row_and_value(cell: str) -> None:
    with pytest.raises(DataError, match=rf"'click', row 2: a label must be 0 or 1 .*'{cell}'"):
        label_array(pl.Series("click", ["1", cell, cell]), "click", PATH)


def test_a_blank_label_is_refused() -> None:
    with pytest.raises(DataError, match=r"row 1: a label must be 0 or 1 .* a blank cell"):
        label_array(pl.Series("click", [None, "1"], dtype=pl.String), "click", PATH)


def test_a_regression_label_is_any_finite_number() -> None:
    labels = label_array(pl.Series("y", ["-2.5", "7"]), "regression", PATH)
    assert labels.tolist() == [-2.5, 7.0]
    with pytest.raises(DataError, match="row 2: a label must be a finite number"):
        label_array(pl.Series("y", ["1", "inf"]), "regression", PATH)


def test_parquet_types_become_what_json_can_hold() -> None:
    frame = pl.DataFrame(
        {
            "day": pl.Series(["2024-05-01"]).str.to_date(),
            "kind": pl.Series(["a"], dtype=pl.Categorical),
            "ratio": [float("nan")],
            "cost": pl.Series(["1.25"]).cast(pl.Decimal(10, 2)),
            "pair": pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)),
            "single": pl.Series([0.1], dtype=pl.Float32),
            "singles": pl.Series([[0.1, None]], dtype=pl.List(pl.Float32)),
            "at": pl.Series(["2024-05-01T12:00:00+02:00"]).str.to_datetime(time_zone="UTC"),
        }
    )
    values = [plain(series, PATH).to_list() for series in frame]
    assert values == [
        ["2024-05-01"],
        ["a"],
        [None],
        ["1.25"],
        [[1, 2]],
        [0.1],
        [[0.1, None]],
        ["2024-05-01T10:00:00Z"],
    ]


@pytest.mark.parametrize("cells", [[timedelta(1)], [[timedelta(1)]]])
def test_durations_are_refused_by_name_and_with_what_to_do(cells: Any) -> None:
    with pytest.raises(DataError, match=r"'odd' holds .*Duration.*: write it as a number"):
        plain(pl.Series("odd", cells), PATH)


@pytest.mark.parametrize("cells", [[{"a": 1}], [b"x"], [[[1]]]])
def test_a_column_of_no_plain_values_is_refused(cells: Any) -> None:
    with pytest.raises(DataError, match=r"'odd' holds .* no plain values"):
        plain(pl.Series("odd", cells), PATH)
