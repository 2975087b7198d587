"""The rows of a log by the values of one field.

>>> from model.schema import CategoricalField
>>> field = CategoricalField(kind="categorical")
>>> [(one.value, len(one.rows)) for one in slices(field, ["ios", "web", "ios"])]
[('ios', 2), ('web', 1)]
"""

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.schema import Field, MultivalueField, NumericField
from model.values.values import Column

MOST_SLICES = 10
OTHER = "(other)"


class Slice(NamedTuple):
    """`rows`: int64, the positions with this `value`, which is None where it is missing."""

    value: str | None
    rows: NDArray[np.int64]


def slices(
    described: Field, column: Column, most: int = MOST_SLICES, fewest: int = 1
) -> list[Slice]:
    """The `most` frequent values that stand in `fewest` rows or more, the missing ones, and all
    others as one: every row in one slice.

    A number with more distinct values is cut at its quantiles. A row of a multi-valued field stands
    in the slice of each of its values.
    """
    cells, order = _texts(described, described.own(column), most)
    counts = Counter(text for cell in cells for text in cell)
    if order is None:
        ranked = sorted((-count, text) for text, count in counts.items())
        order = [text for _, text in ranked]
    kept = [text for text in order if counts[text] >= fewest]
    rows: dict[str, list[int]] = {text: [] for text in kept[:most]}
    missing: list[int] = []
    other: list[int] = []
    for row, cell in enumerate(cells):
        known = [text for text in cell if text in rows]
        for text in known:
            rows[text].append(row)
        if not cell:
            missing.append(row)
        elif not known:
            other.append(row)
    parts = [*rows.items(), (None, missing), (OTHER, other)]
    return [Slice(value, np.array(found, np.int64)) for value, found in parts if found]


def _texts(described: Field, column: Column, most: int) -> tuple[list[list[str]], list[str] | None]:
    # each row's values as text, and the order of these where frequency is not it
    if isinstance(described, MultivalueField):
        text = described.reading.text
        lists = (described.reading.members(cell) for cell in column)
        texts = (dict.fromkeys(map(text, values)) for values in lists)
        return [[text for text in cell if text is not None] for cell in texts], None
    if isinstance(described, NumericField):
        column = list(map(described.reading.number, column))
        numbers = np.array([value for value in column if value is not None], np.float64)
        if len(np.unique(numbers)) > most:
            return _ranges(numbers, column, most)
    cells = map(described.reading.text, column)
    return [[] if cell is None else [cell] for cell in cells], None


def _ranges(
    numbers: NDArray[np.float64], column: Column, most: int
) -> tuple[list[list[str]], list[str]]:
    edges = np.unique(np.quantile(numbers, np.arange(1, most) / most, method="higher"))
    shown = [f"{edge:.4g}" for edge in edges]  # rounded: an edge is somebody's value
    inner = [f"{low} to {high}" for low, high in pairwise(shown)]
    names = [f"below {shown[0]}", *inner, f"{shown[-1]} and more"]
    of_row = np.searchsorted(edges, [np.nan if v is None else v for v in column], side="right")
    cells = [[] if v is None else [names[i]] for v, i in zip(column, of_row, strict=True)]
    return cells, list(dict.fromkeys(names))
