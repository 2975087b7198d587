"""Labelled raw rows as lines of JSON."""

import json
from typing import Any

import numpy as np
import pytest

from model.bundle.labelled_rows import LabelledRows
from model.errors import BundleError

LINE = '{"row": {"ad": "a1"}, "label": 1}'


def rows(group: Any = None, weights: Any = (1.0, 2.5)) -> Any:
    raw: Any = [{"ad": "a1", "tags": ["x", "ü"], "price": 3.5}, {"ad": None, "price": None}]
    return LabelledRows(raw, np.array([0.0, 1.0]), np.array(weights), group)


@pytest.mark.parametrize("group", [None, np.array([7, 7])])
def test_rows_read_back_as_they_were_written(group: Any) -> None:
    written = rows(group)
    read: Any = LabelledRows.parse(written.dumps(), "file")
    assert read.rows == written.rows
    assert read.labels.tolist() == [0, 1]
    assert read.weights.tolist() == [1, 2.5]
    assert (read.group is None) == (group is None)
    assert group is None or read.group.tolist() == [7, 7]
    assert len(read) == 2


def test_a_line_says_no_more_than_it_must() -> None:
    first, second = map(json.loads, rows().dumps().splitlines())
    assert first.keys() == {"row", "label"}
    assert second.keys() == {"row", "label", "weight"}


def test_a_row_without_a_weight_weighs_1() -> None:
    assert LabelledRows.parse(LINE.encode(), "file").weights.tolist() == [1]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "not a labelled row"),
        ("[1]", "expected"),
        ('{"label": 1}', "expected"),
        ('{"row": [1], "label": 1}', "expected"),
        ('{"row": {}}', "label: not a finite number"),
        ('{"row": {}, "label": true}', "label: not a finite number"),
        ('{"row": {}, "label": NaN}', "label: not a finite number"),
        ('{"row": {}, "label": "1"}', "label: not a finite number"),
        ('{"row": {}, "label": 1, "weight": -1}', "weight: negative"),
        ('{"row": {}, "label": 1, "weight": 1e999}', "weight: not a finite number"),
        ('{"row": {}, "label": 1, "group": "g"}', "group: not a whole number"),
        ("{" * 5, "not a labelled row"),
        ("[" * 100_000, "not a labelled row"),
    ],
    ids=range(13),
)
def test_a_line_that_is_no_labelled_row_is_named(line: Any, says: str) -> None:
    with pytest.raises(BundleError, match=rf"^file: line 2: .*{says}"):
        LabelledRows.parse(f"{LINE}\n{line}\n{LINE}".encode(), "file")


@pytest.mark.parametrize("data", [b"", LINE.replace("}, ", '}, "weight": 0, ').encode()])
def test_rows_that_weigh_nothing_are_refused(data: Any) -> None:
    with pytest.raises(BundleError, match="no labelled row"):
        LabelledRows.parse(data, "file")


def test_groups_are_given_to_all_rows_or_to_none() -> None:
    grouped = LINE.replace("}, ", '}, "group": 3, ')
    with pytest.raises(BundleError, match="some rows have a group and some have none"):
        LabelledRows.parse(f"{LINE}\n{grouped}".encode(), "file")
