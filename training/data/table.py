"""Reads a log's files as one table as it stands, before any schema gives it a meaning.

Rows in errors count from 1, without the header and blank lines.
"""

import json
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import polars as pl

from model.errors import DataError
from training.data.csv_file import guess, read_csv
from training.data.files import (
    Data,
    DataFile,
    as_data,
    data_files,
    is_csv,
    is_parquet,
    separator_of,
    text_of,
)
from training.data.json_lines import read_json_lines
from training.data.nested import flattened

_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class Table:
    """Rows of a log's files, one behind the other. `files`: each with its rows, of which the
    first's count from `first` on: those before it are not in the table.
    """

    frame: pl.DataFrame
    data: Data
    files: Sequence[tuple[Path, int]]
    first: int = 0

    def __str__(self) -> str:
        return str(self.data)

    def at(self, row: int) -> tuple[Path, int]:
        """The file that a row stands in, and which row of it that is, both counted from 0."""
        row += self.first
        for path, rows in self.files:
            if row < rows:
                return path, row
            row -= rows
        raise IndexError(row)


Given: TypeAlias = Path | Data | Table  # a log: in files, or in memory already


def read_frame(path: Given, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read a log, or some of its columns; see `read_table`."""
    return read_table(path, columns).frame


def name_of(log: Given) -> str:
    """What warnings call a log."""
    return log.data.name if isinstance(log, Table) else as_data(log).name


def read_table(
    path: Given, columns: Sequence[str] | None = None, refused: dict[str, str] | None = None
) -> Table:
    """Read a log's files, or some of their columns. What comes from a file of text is text, as is
    a column whose type differs between files. `refused`: see `read_json_lines`.

    Raises:
        DataError: missing or unreadable file, unknown kind, no such column, or no row.
    """
    if isinstance(path, Table):
        first, _ = path.files[0]
        return replace(path, frame=selected(path.frame, columns, first, None))
    data = as_data(path)
    files: list[tuple[Path, int]] = []
    frames: list[pl.DataFrame] = []
    for file in data_files(data):
        frame = with_folders(_read_file(file.path, data.separator, columns, refused), file)
        if refused:
            frames = [one.drop(refused, strict=False) for one in frames]
            frame = frame.drop(refused, strict=False)
        if columns is None and frames and set(frame.columns) != set(frames[0].columns):
            odd = sorted(set(frame.columns) ^ set(frames[0].columns))[0]
            raise DataError(f"{file.path}: column {odd!r} is not in all files")
        wanted = frames[0].columns if columns is None and frames else columns
        frames.append(selected(frame, wanted, file.path, data.separator))
        files.append((file.path, len(frame)))
    if not any(rows for _, rows in files):
        raise DataError(f"{data}: no rows, only a header")
    return Table(_joined(frames, data), data, files)


def read_file(file: DataFile, data: Data, columns: Sequence[str]) -> pl.DataFrame:
    """Some columns of one of a log's files.

    Raises:
        DataError: see `read_table`.
    """
    frame = with_folders(_read_file(file.path, data.separator, columns), file)
    return selected(frame, columns, file.path, data.separator)


def read_rows(file: DataFile, columns: Sequence[str], first: int, rows: int) -> pl.DataFrame:
    """So many `rows` from `first` on of a Parquet file that has no objects, and nothing more of it.

    Raises:
        DataError: see `read_table`.
    """
    try:
        scanned = pl.scan_parquet(file.path, hive_partitioning=False)
        names = scanned.collect_schema().names()
        # one column at least, whose rows can be counted
        there = [name for name in names if name in columns] or names[:1]
        frame = scanned.select(there).slice(first, rows).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{file.path}: cannot read it: {_first_line(error)}") from error
    return selected(with_folders(frame, file), columns, file.path, None)


def with_folders(frame: pl.DataFrame, file: DataFile) -> pl.DataFrame:
    """With the columns that the file's folders say, where the file itself has none of that name."""
    folders = {name: value for name, value in file.partition.items() if name not in frame}
    return frame.with_columns(
        pl.lit(value, pl.String).alias(name) for name, value in folders.items()
    )


def _read_file(
    path: Path,
    separator: str | None,
    columns: Sequence[str] | None,
    refused: dict[str, str] | None = None,
) -> pl.DataFrame:
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path}: empty file")
        if is_parquet(path):
            frame = pl.read_parquet(path, hive_partitioning=False)
            # an index of pandas
            frame = frame.select(n for n in frame.columns if n and not _INDEX.fullmatch(n))
            return flattened(frame, path, columns, refused)
        text = text_of(path)
        if not text.strip():
            raise DataError(f"{path}: empty file")
        if is_csv(path):
            return read_csv(text, path, separator or separator_of(path))
        return read_json_lines(text, path, columns, refused)
    except pl.exceptions.NoDataError as error:
        raise DataError(f"{path}: empty file") from error
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot read it: {_first_line(error)}") from error


def selected(
    frame: pl.DataFrame, columns: Sequence[str] | None, path: Path, separator: str | None
) -> pl.DataFrame:
    """Some columns of a file's table, all of them for None.

    Raises:
        DataError: one is not there.
    """
    wanted = frame.columns if columns is None else list(dict.fromkeys(columns))
    _require(frame, wanted, path, separator)
    return frame.select(wanted)


def require_columns(table: Table, names: Iterable[str]) -> None:
    """Refuse a table that lacks one of these columns.

    Raises:
        DataError: names the first, and those there are.
    """
    path, _ = table.files[0]
    _require(table.frame, names, path, table.data.separator)


def _require(frame: pl.DataFrame, names: Iterable[str], path: Path, separator: str | None) -> None:
    for name in names:
        if name not in frame.columns:
            hint = ""
            if not is_parquet(path):
                hint = guess(frame.columns, separator or separator_of(path))
            there = _shown(frame.columns)
            raise DataError(f"{path}: no column {name!r}; there are {there}{hint}")


def _joined(frames: Sequence[pl.DataFrame], data: Data) -> pl.DataFrame:
    if len(frames) == 1:
        return frames[0]
    columns = []
    for name in frames[0].columns:
        parts = [frame[name] for frame in frames]
        if len({part.dtype for part in parts}) > 1:
            parts = [as_text(part, data) for part in parts]
        columns.append(pl.concat([part.rename(name) for part in parts]))
    return pl.DataFrame(columns)


def as_text(part: pl.Series, data: Data) -> pl.Series:
    """A column as text, which has the meaning of the value that it is written of.

    Raises:
        DataError: see `plain`.
    """
    cells = plain(part, Path(str(data)))
    if isinstance(cells.dtype, pl.List):
        texts = [None if cell is None else json.dumps(cell.to_list()) for cell in cells]
        return pl.Series(part.name, texts, dtype=pl.String)
    return cells.cast(pl.String)


def plain(series: pl.Series, path: Path | Table) -> pl.Series:
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
    if kind == pl.Time:
        return cell.dt.strftime("%H:%M:%S%.f")
    if kind.is_decimal() or kind.is_temporal() or kind in (pl.Categorical, pl.Enum):
        return cell.cast(pl.String)
    return cell


def bad_cell(path: Path | Table, series: pl.Series, row: int, wanted: str) -> DataError:
    """The error of one cell; `row` counts from 0 here, and from 1 in its file in the text."""
    value = series[row]
    if isinstance(path, Table):
        path, row = path.at(row)
    shown = "a blank cell" if value is None else repr(value)
    return DataError(f"{path}: column {series.name!r}, row {row + 1}: {wanted}, got {shown}")


def _shown(names: Sequence[str], most: int = 12) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + rest


def _first_line(error: Exception) -> str:
    return re.split(r"[\r\n]", str(error).strip())[0][:200]
