"""Raw rows of a log that are kept in Parquet files, some rows each, and read back as a log."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from model.schema import Schema
from training.columns.cells import joined
from training.data.files import Data
from training.data.log import Log
from training.data.read_log import rows_of
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
    """The rows of a folder, as `read_log` would read them; `source` names them in errors.

    Raises:
        OSError, PolarsError: they cannot be read.
    """
    logs = []
    for path in sorted(folder.glob("*.parquet")):
        frame = pl.read_parquet(path)
        logs.append(rows_of(Table(frame, Data((path,)), [(path, len(frame))]), schema))
    return _whole(logs, source)


def _whole(logs: Sequence[Log], source: str) -> Log:
    if not logs:
        return Log({}, np.empty(0, np.float32), source=source)
    columns = logs[0].columns

    def given(name: str) -> Any:
        parts = [getattr(log, name) for log in logs]
        return None if parts[0] is None else np.concatenate(parts)

    return Log(
        {name: joined([log.columns[name] for log in logs]) for name in columns},
        given("labels"),
        given("weights"),
        given("group"),
        given("time"),
        source,
    )
