"""What the order of the rows, and the numbers of a column by themselves, say of it: whether it
numbers the rows or the requests of a log, or comes back anywhere.
"""

import numpy as np
import polars as pl

from model.metrics.ranked_rows import Floats

DENSE = 1.01  # times as wide as there are rows, a range of numbers counts them
REPEATS = 10.0  # of so many expected by chance, none is missing by luck once in 20 000
EVEN = 2.0  # deviations of an even share of the rows below each number

FEWEST_REQUESTS = 50
MOST_OF_A_REQUEST = 50  # rows on average
LONGEST_REQUEST = 0.05  # of the rows
FEWEST_REPEATS = 10  # rows with the value of another one
RETURNING = 0.02  # of them, the share that may stand elsewhere


def counts_rows(numbers: Floats) -> bool:
    """Whether distinct whole numbers [B] count the rows."""
    low, high = float(numbers.min()), float(numbers.max())
    return high - low < DENSE * len(numbers) or bool((np.diff(numbers) > 0).all())


def is_sample_of_rows(numbers: Floats) -> bool:
    """Whether distinct whole numbers [B] are some of those that count the rows of a larger log."""
    low, high = float(numbers.min()), float(numbers.max())
    # drawn one by one from so few numbers, some would be drawn twice; all the more were some
    # likelier than others, as amounts are
    if len(numbers) ** 2 < 2 * REPEATS * (high - low + 1):
        return False
    share = (np.sort(numbers) - low) / (high - low)
    even = np.arange(len(numbers)) / (len(numbers) - 1)
    return bool(np.abs(share - even).max() * np.sqrt(len(numbers)) < EVEN)


def is_of_requests(cells: pl.Series, distinct: int) -> bool:
    """Whether each of so many `distinct` values comes in a few rows that follow each other, and
    never again.
    """
    rows, repeats = len(cells), len(cells) - distinct
    few = distinct < FEWEST_REQUESTS or repeats < FEWEST_REPEATS
    if few or rows > MOST_OF_A_REQUEST * distinct:
        return False
    runs = 1 + int((cells != cells.shift(1)).sum())
    if runs - distinct > RETURNING * repeats:
        return False
    counts = cells.value_counts(name="rows")["rows"].to_numpy()
    return bool(counts.max() <= LONGEST_REQUEST * rows)


def scattered(cells: pl.Series) -> float:
    """How far the rows of one value lie apart: 0 where they follow each other, about 1 where they
    stand anywhere.
    """
    codes = cells.rank("dense").to_numpy().astype(np.int64) - 1
    rows, count = np.arange(len(codes)), codes.max() + 1
    first, last = np.full(count, len(codes)), np.zeros(count, np.int64)
    np.minimum.at(first, codes, rows)
    np.maximum.at(last, codes, rows)
    counts = np.bincount(codes)
    again = counts > 1
    by_chance = len(codes) * (counts[again] - 1) / (counts[again] + 1)
    return float((last - first)[again].sum() / by_chance.sum()) if again.any() else 0.0
