"""A log cut into shards: so many rows each, in its order, whatever files they stand in.

Of a Parquet file without objects a shard has only the place, and whoever works on it reads these
rows and no others. Other files cannot be read from their middle: they are read here, and their
shards have the rows themselves. CSV is read in blocks; of JSON lines the type of a column depends
on all of its rows, so such a file is read whole, one at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from model.errors import DataError
from training.data.files import Data, DataFile, data_files, is_csv, is_parquet, parquet_rows
from training.data.nested import has_objects
from training.data.table import Table, as_text, read_file, read_rows, with_folders
from training.stream.blocks import file_blocks


@dataclass(frozen=True)
class Piece:
    """So many `rows` of a file from `first` on; `frame` is they, where the file has been read."""

    file: DataFile
    first: int
    rows: int
    frame: pl.DataFrame | None


@dataclass(frozen=True)
class Shard:
    """Rows of a log. `mixed`: the columns whose types differ between its files, read as text."""

    number: int
    data: Data
    columns: tuple[str, ...]
    mixed: frozenset[str]
    pieces: tuple[Piece, ...]

    def table(self) -> Table:
        """The rows, as `read_table` of the whole log has them.

        Raises:
            DataError: a file that cannot be read, or that has changed.
        """
        frames = []
        for piece in self.pieces:
            frame = piece.frame
            if frame is None:
                frame = read_rows(piece.file, self.columns, piece.first, piece.rows)
            if len(frame) != piece.rows:
                raise DataError(f"{piece.file.path}: has changed since its rows were counted")
            texts = [as_text(frame[name], self.data) for name in sorted(self.mixed)]
            frames.append(frame.with_columns(texts))
        files = [(piece.file.path, piece.first + piece.rows) for piece in self.pieces]
        return Table(pl.concat(frames), self.data, files, self.pieces[0].first)


def shards(data: Data, columns: Sequence[str], rows: int) -> Iterator[Shard]:
    """The log's columns in shards of `rows` rows; the last one may have fewer.

    Raises:
        DataError: what `read_table` raises.
    """
    files = data_files(data)
    wanted = tuple(dict.fromkeys(columns))
    empty = Shard(0, data, wanted, _mixed(files, data, wanted), ())
    pieces: list[Piece] = []
    number = there = 0
    for file in files:
        for part in _parts(file, data, wanted):
            first = 0
            while first < part.rows:
                taken = min(rows - there, part.rows - first)
                some = None if part.frame is None else part.frame.slice(first, taken)
                pieces.append(Piece(file, part.first + first, taken, some))
                first, there = first + taken, there + taken
                if there == rows:
                    yield replace(empty, number=number, pieces=tuple(pieces))
                    pieces, there, number = [], 0, number + 1
    if pieces:
        yield replace(empty, number=number, pieces=tuple(pieces))
    elif number == 0:
        raise DataError(f"{data}: no rows, only a header")


def _parts(file: DataFile, data: Data, wanted: Sequence[str]) -> Iterator[Piece]:
    # all rows of a file, those of CSV in blocks
    if _is_read_by_rows(file):
        yield Piece(file, 0, parquet_rows(file.path), None)
    elif not is_csv(file.path):
        frame = read_file(file, data, wanted)
        yield Piece(file, 0, len(frame), frame)
    else:
        first = 0
        for block in file_blocks(file, data, wanted):
            frame = block.table()[0].frame
            yield Piece(file, first, len(frame), frame)
            first += len(frame)


def _mixed(files: Sequence[DataFile], data: Data, wanted: Sequence[str]) -> frozenset[str]:
    if len(files) == 1:
        return frozenset()
    kinds = [_kinds(file, data, wanted) for file in files]
    return frozenset(
        name for name in wanted if len({of.get(name, pl.String()) for of in kinds}) > 1
    )


def _kinds(file: DataFile, data: Data, wanted: Sequence[str]) -> dict[str, pl.DataType]:
    # a file of text has nothing but text, which is not said
    if not is_parquet(file.path):
        return {}
    if not _is_read_by_rows(file):
        return dict(read_file(file, data, wanted).schema)
    return dict(with_folders(read_rows(file, wanted, 0, 0), file).schema)


def _is_read_by_rows(file: DataFile) -> bool:
    if not is_parquet(file.path):
        return False
    try:
        return not has_objects(pl.read_parquet_schema(file.path))
    except (pl.exceptions.PolarsError, OSError):
        return False  # whoever reads it says why it cannot be read
