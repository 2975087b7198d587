"""The column of labels, for each task.

>>> labels_of = label_array(pl.Series("bought", ["yes", "No", "no"]), "click", Path("log.csv"))
>>> labels_of.tolist()
[1.0, 0.0, 0.0]
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.values.values import truths
from training.data.table import Table, bad_cell

HIGHEST_GRADE = 31  # its gain, 2^grade - 1, and a sum of such are exact in float64
_CLICK = "a label must be 0 or 1 (or yes and no, or true and false)"


def label_array(
    series: pl.Series, task: str, path: Path | Table, targets: str = "as_given"
) -> NDArray[np.float32]:
    """A label column as float32 [B]: 0 and 1 (or words for false and true, as `truths` has them)
    for task click, grades from 0 for ranking, else numbers; with `targets` plus_minus_one, -1 and 1
    of labels 0 and 1.

    Raises:
        DataError: names the first row with another value.
    """
    cells = series.cast(pl.String, strict=False).str.strip_chars()
    lower = cells.str.to_lowercase().replace({"true": "1", "false": "0"})
    is_click = task == "click" or targets == "plus_minus_one"
    if is_click and (words := _words(cells)):
        lower = cells.replace_strict(words, default=None)
    numbers = lower.cast(pl.Float64, strict=False)
    if is_click:
        bad, wanted = ~numbers.is_in([0.0, 1.0]).fill_null(False), _CLICK
    elif task == "ranking":
        bad = ~numbers.is_between(0, HIGHEST_GRADE).fill_null(False)
        wanted = f"a label must be a number from 0 to {HIGHEST_GRADE}"
    else:
        bad, wanted = ~numbers.is_finite().fill_null(False), "a label must be a finite number"
    if bad.any():
        raise bad_cell(path, series, int(bad.arg_max() or 0), f"{wanted} for task {task}")
    given = numbers.to_numpy().astype(np.float32)
    return 2 * given - 1 if targets == "plus_minus_one" else given


def _words(cells: pl.Series) -> dict[str, str]:
    # what says true and false, where nothing else stands in the column
    found = cells.drop_nulls().unique().to_list()
    said = truths(found)
    return (
        {word: str(int(truth)) for word, truth in said.items()} if len(said) == len(found) else {}
    )
