"""The files of a log in blocks of rows, in their order: no file is in memory whole. A block is read
by the reader of whole files, so that it means what it means there.
"""

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from model.errors import DataError, reason
from training.data.csv_file import SEPARATOR_LINE, UNQUOTED, read_csv
from training.data.files import (
    Data,
    DataFile,
    data_files,
    is_csv,
    is_packed,
    is_parquet,
    parquet_rows,
    separator_of,
)
from training.data.json_lines import read_json_lines
from training.data.nested import flattened
from training.data.table import Table, selected, with_folders

TEXT_BYTES = 1 << 23  # of a block of text
LINES = 1 << 15  # that are unpacked at once of .zst
LONGEST = 16  # such blocks that one record of CSV may take
ROWS = 1 << 16  # of a block of Parquet


@dataclass(frozen=True)
class Block:
    """Some rows of one file, as `frame` reads them: the `columns` of a log, without those that no
    row of the block has. `size`: bytes of the file, about. `first`: which row of the file is the
    block's first, counted from 0; None where that is not known.
    """

    file: DataFile
    data: Data
    columns: Sequence[str]
    size: float
    first: int | None
    frame: Callable[[], pl.DataFrame]

    def table(self) -> tuple[Table, frozenset[str]]:
        """The rows, and which columns were not found; they are null.

        Raises:
            DataError: the rows cannot be read.
        """
        try:
            frame = self.frame()
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{self.file.path}: cannot read it: {error}") from error
        frame = with_folders(frame, self.file)
        absent = frozenset(self.columns) - frozenset(frame.columns)
        if is_csv(self.file.path):
            frame = selected(frame, self.columns, self.file.path, self.data.separator)
        frame = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in sorted(absent))
        rows = frame.select(list(dict.fromkeys(self.columns)))
        first = self.first or 0
        return Table(rows, self.data, [(self.file.path, first + len(rows))], first), absent


def blocks_of(data: Data, columns: Sequence[str]) -> Iterator[Block]:
    """The blocks of all files.

    Raises:
        DataError: nothing there, a file of an unknown kind, or one that cannot be read.
    """
    for file in data_files(data):
        yield from file_blocks(file, data, columns)


def file_blocks(file: DataFile, data: Data, columns: Sequence[str]) -> Iterator[Block]:
    """The blocks of one of the files.

    Raises:
        DataError: it cannot be read.
    """
    try:
        for size, first, frame in _of_file(file.path, data.separator, columns):
            yield Block(file, data, columns, size, first, frame)
    except (pl.exceptions.PolarsError, OSError, EOFError, ValueError, zlib.error) as error:
        why = reason(error) if isinstance(error, OSError) else str(error).split("\n")[0]
        raise DataError(f"{file.path}: cannot read it: {why}") from error


Read = tuple[float, int | None, Callable[[], pl.DataFrame]]


def _of_file(path: Path, separator: str | None, columns: Sequence[str]) -> Iterator[Read]:
    size = path.stat().st_size
    if size == 0:
        raise DataError(f"{path}: empty file")
    if is_parquet(path):
        yield from _of_parquet(path, size, columns)
        return
    of_cells, quoted = is_csv(path), separator != UNQUOTED
    header, is_empty = b"", True
    for piece in (_records if of_cells and quoted else _lines)(_texts(path)):
        share = 0.0 if is_packed(path) else float(len(piece))
        is_empty = is_empty and not piece.strip()
        if of_cells and not header:
            header, piece = _header(piece, quoted)
        yield share, None, _reader(path, header + piece, separator, columns)
    if is_empty:
        raise DataError(f"{path}: empty file")


def _reader(
    path: Path, text: bytes, separator: str | None, columns: Sequence[str]
) -> Callable[[], pl.DataFrame]:
    if is_csv(path):
        return lambda: read_csv(text, path, separator or separator_of(path))
    return lambda: read_json_lines(text, path, columns)


def _of_parquet(path: Path, size: int, columns: Sequence[str]) -> Iterator[Read]:
    names = list(pl.read_parquet_schema(path))
    flat = [name for name in columns if name in names]
    wanted = flat if len(flat) == len(columns) else [name for name in names if name]
    scan = pl.scan_parquet(path, hive_partitioning=False)
    rows = parquet_rows(path)

    def part(start: int) -> pl.DataFrame:
        return flattened(scan.select(wanted).slice(start, ROWS).collect(), path, columns)

    for start in range(0, max(rows, 1), ROWS):
        share = size * min(ROWS, rows - start) / max(rows, 1)
        yield share, start, lambda start=start: part(start)  # type: ignore[misc]  # its own start


def _texts(path: Path) -> Iterator[bytes]:
    # a file of text in parts, unpacked
    if path.name.lower().endswith(".zst"):
        for lines in pl.scan_lines(path).collect_batches(maintain_order=True, chunk_size=LINES):
            yield "\n".join([*lines.to_series().to_list(), ""]).encode()
        return
    with gzip.open(path) if is_packed(path) else path.open("rb") as file:
        while data := file.read(TEXT_BYTES):
            yield data


def _lines(texts: Iterator[bytes]) -> Iterator[bytes]:
    # whole lines
    rest = b""
    for data in texts:
        whole, end, after = data.rpartition(b"\n")
        if end:
            yield rest + whole + end
            rest = after
        else:
            rest += data
    if rest:
        yield rest


def _records(texts: Iterator[bytes]) -> Iterator[bytes]:
    # whole records of CSV: a line end within quotes ends none
    rest = b""
    for data in texts:
        rest += data
        end = _last_end(rest)
        if end:
            yield rest[:end]
            rest = rest[end:]
        elif len(rest) > LONGEST * TEXT_BYTES:
            raise ValueError("a quote without its end")
    if rest:
        yield rest


def _last_end(text: bytes) -> int:
    # behind the last line end with an even number of quotes before it; 0 where there is none
    quotes, end = text.count(b'"'), len(text)
    while (at := text.rfind(b"\n", 0, end)) >= 0:
        quotes -= text.count(b'"', at, end)
        if quotes % 2 == 0:
            return at + 1
        end = at
    return 0


def _header(text: bytes, quoted: bool) -> tuple[bytes, bytes]:
    # the first record that is not blank, a line with the separator before it, and what follows
    at = 0
    while (end := text.find(b"\n", at) + 1) > 0:
        head = text[:end]
        is_header = head.removeprefix(BOM_UTF8).strip() and not SEPARATOR_LINE.fullmatch(head)
        whole = not quoted or head.count(b'"') % 2 == 0
        if is_header and whole:
            return head, text[end:]
        at = end
    return text, b""
