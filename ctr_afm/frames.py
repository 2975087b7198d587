"""Frames of any library as the table that a log's files are: polars, pandas, and whatever gives its
columns by Arrow's C interface (pyarrow, DuckDB, ...); or rows as /predict takes them.

A value has the meaning that it has in a file (docs/values.md): NaN is null, and a column of values
of several types is read as their text.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from model.errors import DataError
from training.data.files import Data, data_of
from training.data.json_lines import text_columns
from training.data.table import Table

NAME = Path("frame")  # what errors call it, as they name a file
Frame: TypeAlias = Any  # no class is shared by what gives columns
Rows: TypeAlias = Sequence[Mapping[str, Any]]
Files: TypeAlias = str | Path | Sequence[str | Path]
NUMPY_KINDS = "biufM"  # dtypes of pandas that polars reads as they are


def table_of(data: Frame | Rows | Files) -> Table | Data:
    """A frame, or rows, as a table; files as a log of files.

    Raises:
        TypeError: neither of them.
        DataError: no row, or a cell that holds no value.
    """
    files = _files(data)
    if files is not None:
        return files
    frame = _polars(data)
    if frame.is_empty():
        raise DataError(f"{NAME}: no rows")
    return Table(frame, Data((NAME,)), [(NAME, len(frame))])


def is_rows(data: object) -> bool:
    """Whether these are rows as /predict takes them."""
    return isinstance(data, list | tuple) and all(isinstance(row, Mapping) for row in data)


def _files(data: Any) -> Data | None:
    paths = [data] if isinstance(data, str | Path) else data
    if isinstance(paths, list | tuple) and paths and all(isinstance(p, str | Path) for p in paths):
        return data_of([Path(path) for path in paths], None)
    return None


def _polars(data: Any) -> pl.DataFrame:
    if isinstance(data, pl.DataFrame):
        return data
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    if type(data).__module__.partition(".")[0] == "pandas":
        return _of_pandas(data)
    if hasattr(data, "__arrow_c_stream__"):
        return pl.DataFrame(data)
    if is_rows(data):
        return text_columns(list(data), NAME)
    raise TypeError(
        f"{type(data).__name__}: expected a frame of polars, pandas or Arrow, a list of rows, or "
        f"the paths of files"
    )


def _of_pandas(frame: Any) -> pl.DataFrame:
    # without pyarrow, which pandas may lack; the index is no column
    columns = []
    for name in map(str, frame.columns):
        if sum(str(other) == name for other in frame.columns) > 1:
            raise DataError(f"{NAME}: more than one column {name!r}")
    for place, name in enumerate(map(str, frame.columns)):
        column = frame.iloc[:, place]
        kind = column.dtype
        if getattr(kind, "tz", None) is not None:
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
            kind = column.dtype
        if isinstance(kind, np.dtype) and kind.kind in NUMPY_KINDS:
            columns.append(pl.Series(name, column.to_numpy()))
        else:
            missing = column.isna().tolist()
            cells = [None if no else _plain(cell) for cell, no in zip(column, missing, strict=True)]
            columns.append(_column(name, cells))
    return pl.DataFrame(columns)


def _column(name: str, cells: list[Any]) -> pl.Series:
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds in ({str}, {int}, {float}, {bool}):
        return pl.Series(name, cells)
    return text_columns([{name: cell} for cell in cells], NAME, [name])[name]


def _plain(cell: Any) -> Any:
    # as JSON has it; what is no value stays as it is, and is refused by its place
    if isinstance(cell, np.ndarray | list | tuple | set | frozenset):
        return [_plain(part) for part in _parts(cell)]
    if isinstance(cell, np.generic):
        return _plain(cell.item())
    if isinstance(cell, float) and cell != cell:
        return None
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    return str(cell) if isinstance(cell, Decimal) else cell


def _parts(cell: Any) -> Iterator[Any]:
    yield from cell.tolist() if isinstance(cell, np.ndarray) else cell
