"""Reads a CSV file as text, where big ids keep every digit. What a reader could only guess at is
refused, with the row: a guess would change cells in silence.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from model.errors import DataError

UNQUOTED = "unquoted-tab"  # a separator: tabs, and a quote is a character as any other

_MARKS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
# a quote after a backslash, within a cell: one that ends a cell has a separator or line end behind
_ESCAPED = rb'\\"[^"\r\n%s]'
# a first line that tells Excel the separator, and is no header
SEPARATOR_LINE = re.compile(rb"(?:\xef\xbb\xbf)?sep=([!#-~\t])\r?\n")
_LARGEST_CELL = 1 << 30
_NAMELESS = "\0"
_QUOTES = ": a quote within a cell or without its end; within quotes CSV doubles a quote"


def read_csv(data: bytes, path: Path, separator: str) -> pl.DataFrame:
    """A CSV's cells as text, blank ones null. Blank lines are no rows, and a column without a name,
    an index as pandas writes it, is left out. A first line `sep=;` is the separator, whatever other
    one is given.

    Raises:
        DataError: not UTF-8, a name that stands twice, a row with more or fewer cells than names,
            or quotes that are escaped by a backslash.
        PolarsError: nothing stands in it.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:200]:
        raise DataError(f"{path}: looks like UTF-16: write it as UTF-8")
    if said := SEPARATOR_LINE.match(data):
        if mark_of(separator) != said[1].decode():
            separator = said[1].decode()
        data = b"\n" + data[said.end() :]  # the lines keep their numbers
    quoted = separator != UNQUOTED
    mark = mark_of(separator)
    if quoted and (escaped := re.search(_ESCAPED % re.escape(mark.encode()), data)):
        line = data.count(b"\n", 0, escaped.start()) + 1
        raise DataError(
            f"{path}: line {line}: a quote after a backslash: within quotes CSV doubles a quote"
            f"{_as_any(separator)}"
        )
    names = _header(data, path, separator)
    try:
        frame = pl.read_csv(
            io.BytesIO(data),
            infer_schema=False,
            separator=mark,
            quote_char='"' if quoted else None,
        )
    except pl.exceptions.ComputeError:
        _check_utf8(data, path)
        _check_widths(data, path, separator, len(names))
        where = _of_quote(data, mark)
        why = guess(names, separator) or f"{_QUOTES}{_as_any(separator)}"
        raise DataError(f"{path}:{where} cannot be read as CSV{why}") from None
    if frame.width != len(names):
        raise DataError(f"{path}: cannot read its header: {len(names)} or {frame.width} names")
    frame.columns = [name or f"{_NAMELESS}{place}" for place, name in enumerate(names)]
    if len(frame) and frame[:, -1].null_count():  # a short row, or a blank line, would be null too
        blank = _check_widths(data, path, separator, len(names), len(frame))
        if blank:
            frame = frame.with_row_index(_NAMELESS).remove(pl.col(_NAMELESS).is_in(blank))
    return frame.select([name for name in names if name])


def mark_of(separator: str) -> str:
    """The character that parts the cells."""
    return "\t" if separator == UNQUOTED else separator


def guess(names: list[str], separator: str) -> str:
    """What a header looks like in which a column is not found, to say beside; empty where it looks
    well.
    """
    if len(names) == 1:
        for mark, many in _MARKS.items():
            if mark != mark_of(separator) and mark in names[0]:
                shown = "\\t" if mark == "\t" else mark
                return f"; its header looks separated by {many}: --separator '{shown}'"
    if any(_is_number(name) for name in names):
        return "; its first row looks like values: a header with the columns' names is needed"
    return ""


def _header(data: bytes, path: Path, separator: str) -> list[str]:
    names = next((record for record in _records(data, separator) if record), [])
    for name, count in Counter(names).items():
        if name and count > 1:
            raise DataError(f"{path}: column {name!r} stands {count} times in the header")
    return names


def _check_utf8(data: bytes, path: Path) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: line {line}: not UTF-8: write the file as UTF-8") from error


def _as_any(separator: str) -> str:
    if separator != "\t":
        return ""
    return f"; where a quote is a character as any other (Hive, MySQL): --separator {UNQUOTED}"


def _of_quote(data: bytes, mark: str) -> str:
    # the first line with a quote that neither begins nor ends a cell, to say
    other = b'[^"\\r\\n%s]' % re.escape(mark.encode())
    found = re.search(b'%s"%s' % (other, other), data)
    if found is None:
        return ""
    line = data.count(b"\n", 0, found.start() + 1) + 1
    return f" line {line}:"


def _check_widths(
    data: bytes, path: Path, separator: str, width: int, rows: int | None = None
) -> list[int]:
    # which records behind the header are blank lines; those are counted among `rows`
    blank: list[int] = []
    row = count = -1
    names: list[str] = []
    for record in _records(data, separator):
        if row < 0:  # the header, and blank lines before it
            row += bool(record)
            count += bool(record)
            names = record
            continue
        if not record or (width > 1 and len(record) == 1 and not record[0].strip()):
            blank.append(count)
            count += 1
            continue
        row += 1
        count += 1
        if len(record) != width:
            cells = "1 cell" if len(record) == 1 else f"{len(record)} cells"
            hint = guess(names, separator)
            raise DataError(f"{path}: row {row}: {cells}, the header has {width}{hint}")
    if rows is not None and count != rows:
        raise DataError(f"{path}: {count} rows or {rows}: a quote stands within a cell")
    return blank


def _records(data: bytes, separator: str) -> Iterator[list[str]]:
    csv.field_size_limit(_LARGEST_CELL)
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", errors="replace", newline="")
    if separator == UNQUOTED:
        return csv.reader(text, delimiter=mark_of(separator), quoting=csv.QUOTE_NONE)
    return csv.reader(text, delimiter=separator)


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
