"""Slices of a log: every row in one, and which."""

from typing import Any

import numpy as np
import polars as pl

from model.schema import CategoricalField, MultivalueField, NumericField
from training.columns.cells import Cells, Numbers
from training.evaluation.slices import OTHER, slices

CATEGORICAL = CategoricalField(kind="categorical")
NUMERIC = NumericField(kind="numeric")
MULTI = MultivalueField(kind="multivalue")


def by_value(*arguments: Any, **named: Any) -> Any:
    return {part.value: part.rows.tolist() for part in slices(*arguments, **named)}


def test_values_come_by_frequency_then_missing_then_all_others() -> None:
    column = ["b", "a", "b", None, "c", "", "a", "b"]
    found = slices(CATEGORICAL, column, most=2)
    assert [part.value for part in found] == ["b", "a", None, OTHER]
    assert [part.rows.tolist() for part in found] == [[0, 2, 7], [1, 6], [3, 5], [4]]


def test_one_value_has_one_slice_whatever_its_type() -> None:
    assert by_value(CATEGORICAL, [21, "21", 21.0, True, "True"]) == {
        "21": [0, 1, 2],
        "true": [3, 4],
    }


def test_a_value_of_too_few_rows_is_not_named() -> None:
    assert by_value(CATEGORICAL, ["rare", "a", "a"], fewest=2) == {"a": [1, 2], OTHER: [0]}


def test_every_row_of_a_single_valued_field_is_in_one_slice() -> None:
    column = np.random.default_rng(0).integers(0, 40, 500).tolist()
    for field in (CATEGORICAL, NUMERIC):
        rows = np.concatenate([part.rows for part in slices(field, column)])
        assert sorted(rows.tolist()) == list(range(500))


def test_a_row_with_several_values_is_in_the_slice_of_each_and_once() -> None:
    column = [["x", "y", "x"], "x|y", None, ["z"], []]
    found = by_value(MULTI, column, most=2)
    assert found == {"x": [0, 1], "y": [0, 1], None: [2, 4], OTHER: [3]}


def test_few_distinct_numbers_are_values_and_many_are_ranges_in_their_order() -> None:
    assert by_value(NUMERIC, [1.0, 2.0, 1.0, None]) == {"1": [0, 2], "2": [1], None: [3]}
    found = slices(NUMERIC, [float(n) for n in range(100)], most=4)
    assert [part.value for part in found] == ["below 25", "25 to 50", "50 to 75", "75 and more"]
    assert [len(part.rows) for part in found] == [25, 25, 25, 25]


def test_an_edge_belongs_to_the_range_above_it() -> None:
    column = [float(n) for n in range(100)]
    ranges = by_value(NUMERIC, column, most=2)
    assert ranges == {"below 50": list(range(50)), "50 and more": list(range(50, 100))}


def test_a_column_of_distinct_values_has_the_slices_of_its_rows() -> None:
    texts = ["1", None, "1.0", "x|y", "", "2.50", "1", "x"]
    for field in (CATEGORICAL, MULTI):
        assert by_value(field, Cells.of(pl.Series(texts)).take(np.arange(1, 8))) == by_value(
            field, texts[1:]
        )
    numbers = [3.0, None, 1.0, 3.0, -0.0, 2.0, 5.0]
    array = np.array([np.nan if number is None else number for number in numbers])
    for most in (3, 10):
        assert by_value(NUMERIC, Numbers(array), most) == by_value(NUMERIC, numbers, most)
