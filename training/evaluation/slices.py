"""The rows of a log by the values of one field.

>>> from model.schema import CategoricalField
>>> field = CategoricalField(kind="categorical")
>>> [(one.value, len(one.rows)) for one in slices(field, ["ios", "web", "ios"])]
[('ios', 2), ('web', 1)]
"""

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.schema import Field, MultivalueField, NumericField
from model.values.values import Column
from training.columns.cells import Cells, Numbers

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_SLICES = 10
OTHER = "(other)"


class Slice(NamedTuple):
    """`rows`: int64, the positions with this `value`, which is None where it is missing."""

    value: str | None
    rows: NDArray[np.int64]


class _Said(NamedTuple):
    # of B rows: each of the N times that a row has a value, the row, ascending, and the place of
    # the value in `texts`; `ranked`: whether these stand in the order of their slices

    rows: Ints
    places: Ints
    texts: Sequence[str]
    ranked: bool = False


def slices(
    described: Field, column: Column, most: int = MOST_SLICES, fewest: int = 1
) -> list[Slice]:
    """The `most` frequent values that stand in `fewest` rows or more, the missing ones, and all
    others as one: every row in one slice.

    A number with more distinct values is cut at its quantiles. A row of a multi-valued field stands
    in the slice of each of its values.
    """
    said = _said(described, column, most)
    counts = np.bincount(said.places, minlength=len(said.texts))
    order = np.flatnonzero(counts >= max(fewest, 1)).tolist()
    if not said.ranked:
        order.sort(key=lambda place: (-counts[place], said.texts[place]))
    kept = order[:most]
    number = np.full(len(said.texts), len(kept))  # of the slice of each text
    number[kept] = np.arange(len(kept))
    of_said = number[said.places]
    by_slice = said.rows[np.argsort(of_said, kind="stable")]
    ends = np.cumsum(np.bincount(of_said, minlength=len(kept) + 1))
    found = np.split(by_slice, ends[:-1])[: len(kept)]
    known, named = np.zeros((2, len(column)), np.bool_)
    known[said.rows] = True
    named[said.rows[of_said < len(kept)]] = True
    parts = [
        *zip((said.texts[place] for place in kept), found, strict=True),
        (None, np.flatnonzero(~known)),
        (OTHER, np.flatnonzero(known & ~named)),
    ]
    return [Slice(value, rows) for value, rows in parts if len(rows)]


def _said(described: Field, column: Column, most: int) -> _Said:
    cells, codes = _distinct(column)
    values = described.own(cells)
    if isinstance(described, NumericField):
        values = list(map(described.reading.number, values))
        numbers = np.array([np.nan if one is None else one for one in values], np.float64)
        known = np.isfinite(numbers)
        if len(np.unique(numbers[known])) > most:
            rows = np.flatnonzero(known[codes])
            return _ranges(numbers[codes[rows]], rows, most)
    return _texts(_of_each(described, values), codes)


def _distinct(column: Column) -> tuple[Sequence[Any], Ints]:
    # values of a column, fewer than its rows where it has them, and the place of each row's
    if isinstance(column, Numbers):
        distinct, codes = np.unique(column.array, return_inverse=True)
        return Numbers(distinct).to_list(), codes
    if not isinstance(column, Cells):
        return column, np.arange(len(column))
    values, places = column.used()
    found = np.zeros(len(column.distinct), np.int64)
    found[places] = np.arange(len(places))
    return values, found[column.codes]


def _of_each(described: Field, values: Sequence[Any]) -> list[list[str]]:
    # what each value says: one text, several of a multi-valued field, or none
    text = described.reading.text
    if isinstance(described, MultivalueField):
        each = (map(text, described.reading.members(value)) for value in values)
        return [[one for one in dict.fromkeys(texts) if one is not None] for texts in each]
    return [[] if one is None else [one] for one in map(text, values)]


def _texts(of_each: list[list[str]], codes: Ints) -> _Said:
    texts = list(dict.fromkeys(chain.from_iterable(of_each)))
    places = {text: place for place, text in enumerate(texts)}
    flat = np.array([places[text] for texts in of_each for text in texts], np.int64)
    sizes = np.array([len(texts) for texts in of_each], np.int64)
    starts = np.cumsum(sizes) - sizes
    times = sizes[codes]
    rows = np.repeat(np.arange(len(codes)), times)
    behind = np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)
    return _Said(rows, flat[np.repeat(starts[codes], times) + behind], texts)


def _ranges(numbers: Floats, rows: Ints, most: int) -> _Said:
    edges = np.unique(np.quantile(numbers, np.arange(1, most) / most, method="higher"))
    edges += 0.0  # which makes 0 of -0
    shown = [f"{edge:.4g}" for edge in edges]  # rounded: an edge is somebody's value
    inner = [f"{low} to {high}" for low, high in pairwise(shown)]
    names = [f"below {shown[0]}", *inner, f"{shown[-1]} and more"]
    texts = list(dict.fromkeys(names))
    place = np.array([texts.index(name) for name in names])
    return _Said(rows, place[np.searchsorted(edges, numbers, side="right")], texts, ranked=True)
