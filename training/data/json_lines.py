"""Reads JSON lines: an object a row, whose values are those of a request. A column comes as text,
which has the same meaning (see model/values/values.py), since one may hold values of several types.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from model.errors import DataError


def read_json_lines(data: bytes, path: Path) -> pl.DataFrame:
    """A column for each key of any row, null where a row lacks it; lists as their JSON.

    Raises:
        DataError: names the row that is no object of values, and the column where it can.
    """
    rows: list[dict[str, Any]] = []
    for line in data.removeprefix(b"\xef\xbb\xbf").splitlines():
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: row {len(rows) + 1}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}: row {len(rows) + 1}: not a JSON object")
        rows.append(row)
    return text_columns(rows, path)


def text_columns(rows: Sequence[Mapping[str, Any]], path: Path) -> pl.DataFrame:
    """Rows as columns of text; `path` is what errors call them.

    Raises:
        DataError: see `read_json_lines`.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame(
        [pl.Series(name, _column(rows, name, path), dtype=pl.String) for name in names]
    )


def _column(rows: Sequence[Mapping[str, Any]], name: str, path: Path) -> list[str | None]:
    cells = []
    for number, row in enumerate(rows, 1):
        try:
            cells.append(_cell(row.get(name)))
        except ValueError as error:
            where = f"column {name!a}, row {number}"
            raise DataError(f"{path}: {where}: {error}") from None
    return cells


def _cell(value: Any) -> str | None:
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("half of a surrogate pair is not a character") from None
        return value
    if value is None:
        return None
    if isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(part, list | dict) for part in value)
    ):
        raise ValueError("an object or a list of lists is no value")
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError("a number must be finite")
    try:
        return json.dumps(value, ensure_ascii=True)
    except TypeError:  # of what never stood in a file
        raise ValueError(f"{type(value).__name__} is no value") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no value")
