"""Reads a click log (CSV, .csv.gz or Parquet) by its schema."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.errors import DataError
from model.schema import MultivalueField, NumericField, Schema
from model.values import members
from training.data.log import Ints, Log
from training.data.table import bad_cell, label_array, plain, read_frame


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
