"""Reads a click log (CSV, .csv.gz or Parquet) into columns of the raw values that the encoder
takes, and splits it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.errors import DataError
from model.schema import MultivalueField, NumericField, Schema
from model.values import Column, Value, members
from training.data.table import bad_cell, label_array, plain, read_frame

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Log:
    """B rows of a click log.

    `columns`: for each field of the schema its B values, ready for `Encoder.encode_columns`.
    `labels`: float32 [B]; NaN where the log was read without labels. `weights`: float32 [B], not
    negative. `group`: int64 [B], a number for each distinct group. `time`: float64 [B], ascending
    with time (seconds since 1970 where the log has dates). `source` names the log in errors.
    """

    columns: Mapping[str, Column]
    labels: NDArray[np.float32]
    weights: NDArray[np.float32] | None = None
    group: Ints | None = None
    time: NDArray[np.float64] | None = None
    source: str = "log"

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Ints) -> "Log":
        """The rows at `indices`, in that order."""
        at = indices.tolist()
        return Log(
            {name: [column[i] for i in at] for name, column in self.columns.items()},
            self.labels[indices],
            None if self.weights is None else self.weights[indices],
            None if self.group is None else self.group[indices],
            None if self.time is None else self.time[indices],
            self.source,
        )

    def joined(self, other: "Log") -> "Log":
        """These rows, and behind them those of another log of the same schema; its groups are
        others than these.
        """
        first = 0 if self.group is None else int(self.group.max(initial=-1)) + 1
        return Log(
            {name: [*column, *other.columns[name]] for name, column in self.columns.items()},
            np.concatenate([self.labels, other.labels]),
            _both(self.weights, other.weights),
            _both(self.group, None if other.group is None else other.group + first),
            _both(self.time, other.time),
            self.source,
        )

    def rows(self) -> list[dict[str, Value]]:
        """The fields of each row as a request's JSON would hold them."""
        names = list(self.columns)
        return [
            dict(zip(names, values, strict=True))
            for values in zip(*self.columns.values(), strict=True)
        ]


def read_log(path: Path, schema: Schema, *, labelled: bool = True) -> Log:
    """Read a log by its schema. Cells of a CSV stay text unless the field is numeric; a blank cell,
    or NaN in Parquet, is null.

    `labelled=False` reads the fields alone, for scoring: label, weight, group and time may be
    absent.

    Raises:
        DataError: unreadable, empty, without a column that the schema names, or with a cell that
            its column cannot hold.
    """
    wanted = [*schema.fields]
    if labelled:
        wanted = [c for c in (schema.label, schema.weight, schema.group, schema.time) if c] + wanted
    frame = read_frame(path, wanted)
    read = _Columns(path, frame)
    columns = {name: read.values(name, field) for name, field in schema.fields.items()}
    if not labelled:
        return Log(columns, np.full(len(frame), np.nan, np.float32), source=str(path))
    return Log(
        columns,
        label_array(frame[schema.label], schema.task, path, schema.targets),
        read.weights(schema.weight) if schema.weight else None,
        read.groups(schema.group) if schema.group else None,
        read.times(schema.time) if schema.time else None,
        str(path),
    )


def require_contrast(log: Log, task: str, what: str = "the log") -> None:
    """Refuse to train, tune or judge on rows that tell nothing apart: clicks alone, say, or none.

    Raises:
        DataError: all labels are equal; for task ranking, all of each group.
    """
    seen = np.unique(log.labels)
    if len(seen) < 2:
        shown = f"all labels are {seen[0]:g}" if len(seen) else "no row"
        wanted = "both classes, 0 and 1" if task == "click" else "labels that differ"
        raise DataError(f"{log.source}: {what} needs {wanted}: {shown}")
    if task == "ranking":
        if log.group is None:
            raise DataError(f"{log.source}: {what} needs groups for task ranking")
        order = np.lexsort((log.labels, log.group))
        same = np.diff(log.group[order]) == 0
        if not (same & (np.diff(log.labels[order]) > 0)).any():
            raise DataError(f"{log.source}: {what} needs a group whose labels differ")


def split(log: Log, schema: Schema, *, share: float, seed: int) -> tuple[Log, Log]:
    """Cut a log in two: what remains, and the part of about `share` held out.

    With `schema.time` the last rows are held out, rows of one time staying together; else a random
    part: whole groups where the schema has groups, the same share of each class where it has not.

    Raises:
        DataError: a part would be empty, or tell nothing apart (see `require_contrast`).
    """
    if schema.time is not None and log.time is not None:
        held = _last(log.time, share)
    elif log.group is not None:
        held = _random_groups(log.group, share, seed)
    else:
        held = _random_rows(log.labels if schema.task == "click" else None, len(log), share, seed)
    if held.all() or not held.any():
        raise DataError(f"{log.source}: {len(log)} rows cannot be split, {share:g} held out")
    parts = log.take(np.flatnonzero(~held)), log.take(np.flatnonzero(held))
    for part, what in zip(parts, ("the training part", "the part held out"), strict=True):
        require_contrast(part, schema.task, what)
    return parts


def sample_negatives(log: Log, rate: float, seed: int) -> Log:
    """The log with each negative kept by chance `rate`, above 0 and up to 1; every click stays.

    Raises:
        DataError: not a single negative is left.
    """
    if rate == 1:
        return log
    drawn = np.random.default_rng(seed).random(len(log)) < rate
    kept = log.take(np.flatnonzero(drawn | (log.labels == 1)))
    require_contrast(kept, "click", f"the training part with {rate:g} of its negatives")
    return kept


def weigh_negatives(log: Log, kept: float) -> Log:
    """A log that holds the share `kept` of its negatives, weighed as the whole log would count."""
    if kept == 1:
        return log
    given = np.ones(len(log), np.float32) if log.weights is None else log.weights
    weights = np.where(log.labels == 0, given / np.float32(kept), given)
    return replace(log, weights=weights)


def sample(log: Log, rows: int, seed: int) -> Log:
    """About `rows` rows of a log at random, in its order, or all of them where it has no more;
    whole groups where it has groups. Equal arguments give equal rows.
    """
    if rows >= len(log):
        return log
    if log.group is not None:
        return log.take(np.flatnonzero(_random_groups(log.group, rows / len(log), seed)))
    drawn = np.random.default_rng(seed).choice(len(log), rows, replace=False)
    return log.take(np.sort(drawn))


class _Columns:
    # one table's columns as what the schema says they are

    def __init__(self, path: Path, frame: pl.DataFrame) -> None:
        self._path = path
        self._frame = frame

    def values(self, name: str, field: object) -> list[Any]:
        series = self._frame[name]
        if isinstance(field, NumericField):
            values: list[Any] = self._numbers(series).to_list()
        elif isinstance(field, MultivalueField):
            # a mixed cell and its list are one thing; null stays null, as in JSON
            values = [
                None if cell is None or cell == "" else members(cell, field.separator)
                for cell in plain(series, self._path).to_list()
            ]
        else:
            cells = plain(series, self._path)
            if isinstance(cells.dtype, pl.List):
                raise DataError(
                    f"{self._path}: column {name!r} holds lists, "
                    f"which a categorical field cannot: make its kind multivalue"
                )
            values = [None if cell == "" else cell for cell in cells.to_list()]
        return values

    def weights(self, name: str) -> NDArray[np.float32]:
        numbers = self._present(self._frame[name], "weight")
        if (numbers < 0).any():
            raise self._bad(name, int(np.argmax(numbers < 0)), "a weight cannot be negative")
        if not numbers.any():
            raise DataError(f"{self._path}: weight {name!r} is 0 in every row")
        return numbers.astype(np.float32)

    def groups(self, name: str) -> Ints:
        cells = self._frame[name].cast(pl.String)
        if cells.null_count():
            raise self._bad(name, int(cells.is_null().arg_max() or 0), "a group cannot be blank")
        return cells.rank("dense").to_numpy().astype(np.int64) - 1

    def times(self, name: str) -> NDArray[np.float64]:
        series = self._frame[name]
        if series.dtype in (pl.Date, pl.Datetime):
            return self._present(series.cast(pl.Datetime("us")).to_physical() / 1e6, "time")
        if series.dtype == pl.String:
            numbers = series.str.strip_chars().cast(pl.Float64, strict=False)
            if numbers.null_count() * 2 > len(series):  # dates, or nearly all of them
                return np.array([self._moment(name, row, cell) for row, cell in enumerate(series)])
        return self._present(series, "time")

    def _moment(self, name: str, row: int, cell: str | None) -> float:
        try:
            moment = datetime.fromisoformat((cell or "").strip())
        except ValueError:
            wanted = "a time must be a number or an ISO date"
            raise self._bad(name, row, wanted) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    def _present(self, series: pl.Series, role: str) -> NDArray[np.float64]:
        numbers = self._numbers(series)
        if numbers.null_count():
            row = int(numbers.is_null().arg_max() or 0)
            raise self._bad(series.name, row, f"a {role} cannot be blank")
        return numbers.to_numpy().astype(np.float64)

    def _numbers(self, series: pl.Series) -> pl.Series:
        cells = plain(series, self._path)
        if not (cells.dtype.is_numeric() or cells.dtype in (pl.String, pl.Null)):
            raise DataError(
                f"{self._path}: column {series.name!r} holds {series.dtype}, not numbers"
            )
        if cells.dtype == pl.String:
            cells = cells.str.strip_chars().replace("", None)
        numbers = cells.cast(pl.Float64, strict=False)
        bad = (numbers.is_null() & cells.is_not_null()) | ~numbers.is_finite().fill_null(True)
        if bad.any():
            raise self._bad(series.name, int(bad.arg_max() or 0), "expected a finite number")
        return numbers

    def _bad(self, name: str, row: int, wanted: str) -> DataError:
        return bad_cell(self._path, self._frame[name], row, wanted)


def _both(one: NDArray[Any] | None, other: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if one is None or other is None else np.concatenate([one, other])


def _last(time: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    # the cut between two different times that comes nearest to the share
    ascending = np.sort(time)
    cuts = np.flatnonzero(np.diff(ascending)) + 1
    if not len(cuts):
        return np.zeros(len(time), dtype=np.bool_)
    cut = cuts[np.argmin(np.abs(cuts - len(time) * (1 - share)))]
    held: NDArray[np.bool_] = time >= ascending[cut]
    return held


def _random_groups(group: Ints, share: float, seed: int) -> NDArray[np.bool_]:
    names, sizes = np.unique(group, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    drawn = np.cumsum(sizes[order]) <= max(share * len(group), sizes.min())
    return np.isin(group, names[order[drawn]])


def _random_rows(
    labels: NDArray[np.float32] | None, rows: int, share: float, seed: int
) -> NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    held = np.zeros(rows, dtype=np.bool_)
    classes = np.zeros(rows) if labels is None else labels
    for label in np.unique(classes):
        of_class = rng.permutation(np.flatnonzero(classes == label))
        held[of_class[: round(share * len(of_class))]] = True
    return held
