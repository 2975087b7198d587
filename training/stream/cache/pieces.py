"""Raw rows of a log that are kept in Parquet files, some rows each, and read back a column at a
time.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from model.schema import Schema
from model.values.values import Column
from training.columns.cells import joined
from training.data.files import Data
from training.data.log import Log
from training.data.read_log import columns_of, rows_of
from training.data.table import Table

ROWS = 1 << 16  # of a file, or somewhat more


class Pieces:
    """Rows that are put into the files of a folder, in their order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self._waiting: list[pl.DataFrame] = []
        self._written = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Put rows behind the others; their columns may be of other types than those of others.

        Raises:
            OSError, PolarsError: they cannot be written.
        """
        if not len(frame):
            return
        if self._waiting and self._waiting[-1].schema != frame.schema:
            self.end()
        self._waiting.append(frame)
        if sum(map(len, self._waiting)) >= ROWS:
            self.end()

    def end(self) -> None:
        """Write what is left; see `add`."""
        if self._waiting:
            path = self._folder / f"{self._written:06d}.parquet"
            pl.concat(self._waiting).write_parquet(path, compression="lz4")
            self._waiting, self._written = [], self._written + 1


def read_pieces(folder: Path, schema: Schema, source: str) -> Log:
    """The rows of a folder, as `read_log` would read them, but for the columns of fields: each is
    read when it is asked for, and not kept. `source` names the rows in errors.

    Raises:
        OSError, PolarsError: they cannot be read.
    """
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        return Log({}, np.empty(0, np.float32), source=source)
    roles = columns_of(schema, sources=())
    logs = [rows_of(_table(path, roles), schema, sources=()) for path in paths]

    def given(name: str) -> Any:
        parts = [getattr(log, name) for log in logs]
        return None if parts[0] is None else np.concatenate(parts)

    labels, weights, group, time = map(given, ("labels", "weights", "group", "time"))
    return Log(_Columns(paths, schema), labels, weights, group, time, source)


class _Columns(Mapping[str, Column]):
    # the columns of fields, by their sources

    def __init__(self, paths: Sequence[Path], schema: Schema) -> None:
        self._paths, self._schema = paths, schema
        self._names = list(dict.fromkeys(schema.sources.values()))

    def __getitem__(self, name: str) -> Column:
        if name not in self._names:
            raise KeyError(name)
        how = self._schema
        return joined(
            [
                rows_of(_table(path, [name]), how, labelled=False, sources=[name]).columns[name]
                for path in self._paths
            ]
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _table(path: Path, columns: Sequence[str]) -> Table:
    frame = pl.read_parquet(path, columns=list(dict.fromkeys(columns)))
    return Table(frame, Data((path,)), [(path, len(frame))])
