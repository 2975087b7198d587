"""Reads tables (CSV, .csv.gz, Parquet) as they stand, before any schema gives them a meaning.

Rows in errors count from 1, without the header.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.errors import DataError

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq")


def read_frame(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read a table, or some of its columns; a CSV's as text, where big ids keep every digit.

    Raises:
        DataError: missing or unreadable file, unknown extension, no such column, or no row.
    """
    if not path.name.lower().endswith(SUFFIXES):
        raise DataError(f"{path}: unknown kind of file, expected {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise DataError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path}: empty file")
        if path.name.lower().endswith((".parquet", ".pq")):
            frame = pl.read_parquet(path)
        else:
            frame = pl.read_csv(path, infer_schema=False)
            # a quote within a quoted name is doubled, which polars resolves in cells alone
            frame.columns = [name.replace('""', '"') for name in frame.columns]
    except pl.exceptions.NoDataError as error:
        raise DataError(f"{path}: empty file") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: cannot read it: {_first_line(error)}") from error
    wanted = frame.columns if columns is None else list(dict.fromkeys(columns))
    for name in wanted:
        if name not in frame.columns:
            raise DataError(f"{path}: no column {name!r}; there are {_shown(frame.columns)}")
    if not len(frame):
        raise DataError(f"{path}: no rows, only a header")
    return frame.select(wanted)


HIGHEST_GRADE = 31  # its gain, 2^grade - 1, and a sum of such are exact in float64


def label_array(
    series: pl.Series, task: str, path: Path, targets: str = "as_given"
) -> NDArray[np.float32]:
    """A label column as float32 [B]: 0 and 1 (or false and true) for task click, grades from 0 for
    ranking, else numbers; with `targets` plus_minus_one, -1 and 1 of labels 0 and 1.

    Raises:
        DataError: names the first row with another value.
    """
    cells = series.cast(pl.String, strict=False).str.strip_chars()
    lower = cells.str.to_lowercase().replace({"true": "1", "false": "0"})
    numbers = lower.cast(pl.Float64, strict=False)
    if task == "click" or targets == "plus_minus_one":
        bad, wanted = ~numbers.is_in([0.0, 1.0]).fill_null(False), "a label must be 0 or 1"
    elif task == "ranking":
        bad = ~numbers.is_between(0, HIGHEST_GRADE).fill_null(False)
        wanted = f"a label must be a number from 0 to {HIGHEST_GRADE}"
    else:
        bad, wanted = ~numbers.is_finite().fill_null(False), "a label must be a finite number"
    if bad.any():
        raise bad_cell(path, series, int(bad.arg_max() or 0), f"{wanted} for task {task}")
    given = numbers.to_numpy().astype(np.float32)
    return 2 * given - 1 if targets == "plus_minus_one" else given


def plain(series: pl.Series, path: Path) -> pl.Series:
    """A column as JSON could hold it: text, numbers, booleans, or lists of them; NaN is null. A
    float of 32 bits is the shortest decimal that gives it back, a decimal is its digits as text,
    and a moment is text in UTC.

    Raises:
        DataError: a column of structures, bytes or durations.
    """
    if isinstance(series.dtype, pl.Array):
        return plain(series.arr.to_list(), path)
    kind = series.dtype
    inner: pl.DataType = kind.inner if isinstance(kind, pl.List) else kind  # type: ignore[assignment]  # of a list that exists
    if inner == pl.Duration:
        raise DataError(
            f"{path}: column {series.name!r} holds {series.dtype}, which JSON has no value for: "
            f"write it as a number, of seconds, say"
        )
    if inner.is_nested() or inner in (pl.Binary, pl.Object):
        raise DataError(f"{path}: column {series.name!r} holds {series.dtype}, no plain values")
    frame = series.to_frame()
    if inner is kind:
        return frame.select(_plain(pl.all(), inner)).to_series()
    return frame.select(pl.all().list.eval(_plain(pl.element(), inner))).to_series()


def _plain(cell: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if kind in (pl.Float16, pl.Float32):
        return cell.cast(pl.String).cast(pl.Float64).fill_nan(None)
    if kind.is_float():
        return cell.fill_nan(None)
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is not None:
            cell = cell.dt.convert_time_zone("UTC")
        return cell.dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
    if kind.is_decimal() or kind.is_temporal() or kind in (pl.Categorical, pl.Enum):
        return cell.cast(pl.String)
    return cell


def bad_cell(path: Path, series: pl.Series, row: int, wanted: str) -> DataError:
    """The error of one cell; `row` counts from 0 here, and from 1 in the text."""
    value = series[row]
    shown = "a blank cell" if value is None else repr(value)
    return DataError(f"{path}: column {series.name!r}, row {row + 1}: {wanted}, got {shown}")


def _shown(names: Sequence[str], most: int = 12) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + rest


def _first_line(error: Exception) -> str:
    return re.split(r"[\r\n]", str(error).strip())[0][:200]
