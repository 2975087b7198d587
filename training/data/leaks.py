"""Leaks: columns that hold the label, or are filled after it. A net fitted on one is perfect on the
log, and of no use where the label is not known yet.

>>> clicked_at = [None, 1700000000, None, 1700000060] * 50
>>> leak(clicked_at, np.array([0, 1, 0, 1] * 50, np.float32))
'its being missing ranks the label by itself, AUC 1.0000'
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.metrics.ranked_rows import Floats, ranked_auc
from training.columns.cells import Cells, taken

BEYOND = 0.95  # the AUC of one column by itself from which it is taken for a leak
MOST_ROWS = 200_000  # that are looked at
SEED = 20_261  # of nothing else: a log drawn by the same numbers would be cut by its own clicks
LUCK = 14.0  # of so many negatives expected, none comes by luck once in a million
ALMOST_NONE = 0.02  # of the negatives expected, the share up to which there are none
PRIOR = 10.0  # rows at the mean rate that a value's rate is smoothed by
FEWEST_OF_A_CLASS = 10  # with fewer labels of a class, nothing is said

Given = Sequence[Any] | pl.Series


def leak(cells: Given, labels: NDArray[np.float32]) -> str | None:
    """Why a column [B] is taken for a leak of the 0/1 labels [B]; None where it is not.

    It ranks the label by itself: as a number, as a category whose rate was seen on other rows, or
    by its being missing. Or it is filled, or has another value than usual, in clicks only.
    """
    texts, y = _looked_at(cells, labels.astype(np.float64))
    values = _as_numbers(texts)
    if min(y.sum(), len(y) - y.sum()) < FEWEST_OF_A_CLASS:
        return None
    missing = values.is_null().to_numpy()
    for how, found in (
        ("its being missing ranks the label by itself", _side(y, missing.astype(np.float64))),
        ("its values rank the label by themselves", _alone(values, y)),
    ):
        if found is not None and found > BEYOND:
            return f"{how}, AUC {found:.4f}"
    if missing.any() and _clicks_only(~missing, y):
        return "it is filled only where the label is 1"
    codes = _codes(values)
    usual = int(np.bincount(codes).argmax())
    if usual and _clicks_only((codes != usual) & ~missing, y):
        first = str(texts[int(np.argmax(codes == usual))])[:40]
        return f"it is other than {first!r} only where the label is 1"
    return None


def leaks(columns: Mapping[str, Given], labels: NDArray[np.float32]) -> dict[str, str]:
    """The columns of a log that are taken for leaks of its 0/1 labels, and why."""
    found = {name: leak(cells, labels) for name, cells in columns.items()}
    return {name: why for name, why in found.items() if why is not None}


def looked_at(count: int) -> NDArray[np.int64]:
    """The rows of so many that are looked at, ascending: at most MOST_ROWS."""
    if count <= MOST_ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(SEED).choice(count, MOST_ROWS, replace=False))


def strength(cells: Given, labels: NDArray[np.float32]) -> float | None:
    """How well a column [B] ranks 0/1 labels [B] by itself: an AUC of .5 or more. None with one
    class.
    """
    texts, y = _looked_at(cells, labels.astype(np.float64))
    return _alone(_as_numbers(texts), y)


def _alone(values: pl.Series, y: Floats) -> float | None:
    found = [_side(y, _rates(values, y))]
    if values.dtype.is_numeric():
        numbers = values.cast(pl.Float64)
        known = numbers.is_not_null().to_numpy()
        found.append(_side(y[known], numbers.drop_nulls().to_numpy()))
    sides = [one for one in found if one is not None]
    return max(sides, default=None)


def _looked_at(cells: Given, y: Floats) -> tuple[pl.Series, Floats]:
    # at most MOST_ROWS of them, as text
    if len(cells) > MOST_ROWS:
        rows = looked_at(len(cells))
        cells = cells[rows] if isinstance(cells, pl.Series) else taken(cells, rows)
        y = y[rows]
    if isinstance(cells, pl.Series) and isinstance(cells.dtype, pl.List):
        cells = cells.to_list()
    if isinstance(cells, pl.Series):
        texts = cells.cast(pl.String)
    elif isinstance(cells, Cells):
        texts = _texts(cells.values()).gather(cells.codes)
    else:
        texts = _texts(cells)
    return texts.str.strip_chars().replace("", None), y


def _as_numbers(texts: pl.Series) -> pl.Series:
    # where all of them are such, else as they are
    numbers = texts.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == texts.null_count() else texts


def _texts(values: Iterable[Any]) -> pl.Series:
    return pl.Series([None if v is None or v == "" else str(v) for v in values], dtype=pl.String)


def _rates(values: pl.Series, y: Floats) -> Floats:
    # of each row's value, as seen in the other half of the rows: else a value of one row would
    # know its own label
    codes = _codes(values)
    half = np.random.default_rng(SEED).random(len(y)) < 0.5
    rates = np.empty(len(y))
    for seen in (half, ~half):
        mean = float(y[seen].mean()) if seen.any() else 0.0
        counts = np.bincount(codes[seen], minlength=codes.max() + 1)
        clicks = np.bincount(codes[seen], y[seen], minlength=codes.max() + 1)
        rates[~seen] = ((clicks + PRIOR * mean) / (counts + PRIOR))[codes[~seen]]
    return rates


def _side(y: Floats, scores: Floats) -> float | None:
    if len(y) < 2:
        return None
    # their ranks, as the square of a number such as 3e200 is none
    ranks = np.unique(np.nan_to_num(scores), return_inverse=True)[1]
    clicks, others = (np.bincount(ranks, each).astype(np.float64) for each in (y, 1 - y))
    found = ranked_auc(clicks, others)
    return None if np.isnan(found) else max(found, 1 - found)


def _clicks_only(chosen: NDArray[np.bool_], y: Floats) -> bool:
    # whether the chosen rows are clicks, where their number says that this is no luck
    expected = float(chosen.sum()) * (1 - y.mean())
    return bool(expected >= LUCK and (1 - y[chosen]).sum() <= ALMOST_NONE * expected)


def _codes(values: pl.Series) -> NDArray[np.int64]:
    # a number from 1 for each distinct value, 0 for null
    texts = values.cast(pl.String).cast(pl.Categorical)
    return (texts.to_physical().cast(pl.Int64) + 1).fill_null(0).to_numpy()
