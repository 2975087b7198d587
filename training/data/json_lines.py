"""Reads JSON lines: an object a row, whose values are those of a request. A column comes as text,
which has the same meaning (see model/values/values.py), since one may hold values of several types.
What stands in an object within a row is a column by its path (see model/values/paths.py). A row may
be a bid request that was answered, `{"click": 0, "bid_request": {...}, "candidate": {...}}`: a path
then leads into the candidate, else the row, else the bid request, as over HTTP. Without a candidate
it is the bid request's only imp.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from model.errors import DataError
from model.values.paths import ABSENT, places, steps_of, value_at

BID_REQUEST, CANDIDATE = "bid_request", "candidate"


def read_json_lines(
    data: bytes,
    path: Path,
    columns: Sequence[str] | None = None,
    refused: dict[str, str] | None = None,
) -> pl.DataFrame:
    """The `columns` that are there, or one for each value of any row, null where a row lacks it;
    lists as their JSON. With `refused`, a column with what is no value is no error but left out,
    and put there with the reason.

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
    return rows_as_text(rows, path, columns, refused)


def rows_as_text(
    rows: Sequence[dict[str, Any]],
    path: Path,
    columns: Sequence[str] | None = None,
    refused: dict[str, str] | None = None,
) -> pl.DataFrame:
    """Rows of JSON lines as columns of text, bid requests among them; as `read_json_lines`.

    Raises:
        DataError: see `read_json_lines`.
    """
    found = [_with_candidate(row, f"{path}: row {number}") for number, row in enumerate(rows, 1)]
    return text_columns(found, path, columns, refused)


def _with_candidate(row: dict[str, Any], where: str) -> dict[str, Any]:
    asked = row.get(BID_REQUEST)
    if not isinstance(asked, dict) or isinstance(row.get(CANDIDATE), dict):
        return row
    shown = asked.get("imp")
    if not isinstance(shown, list) or len(shown) != 1 or not isinstance(shown[0], dict):
        raise DataError(f"{where}: no candidate, and the bid request has not one imp but others")
    rest = {key: value for key, value in asked.items() if key != "imp"}
    return {**row, BID_REQUEST: rest, CANDIDATE: shown[0]}


def text_columns(
    rows: Sequence[Mapping[str, Any]],
    path: Path,
    columns: Sequence[str] | None = None,
    refused: dict[str, str] | None = None,
) -> pl.DataFrame:
    """Rows as columns of text; `path` is what errors call them, the others as in `read_json_lines`.

    Raises:
        DataError: see `read_json_lines`.
    """
    if columns is not None:
        found = {name: _column(rows, name, path) for name in dict.fromkeys(columns)}
        if None not in found.values():
            return _frame(found)
    met = dict.fromkeys(place for row in rows for place in places(row))
    objects = {name for name, is_object in met if is_object}
    names = dict.fromkeys(name for name, _ in met if name not in objects)
    read = {}
    for name in names:
        try:
            read[name] = _column(rows, name, path)
        except DataError as error:
            if refused is None:
                raise
            refused[name] = str(error).removeprefix(f"{path}: column {name!a}, ")
    return _frame(read)


def _frame(columns: Mapping[str, list[str | None] | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [pl.Series(name, cells, dtype=pl.String) for name, cells in columns.items()]
    )


def _column(rows: Sequence[Mapping[str, Any]], name: str, path: Path) -> list[str | None] | None:
    # None where no row has it
    steps = steps_of(name)
    cells, is_there = [], False
    for number, row in enumerate(rows, 1):
        try:
            value = _found(row, name, steps)
            is_there = is_there or value is not ABSENT
            cells.append(None if value is ABSENT else _cell(value))
        except ValueError as error:
            where = f"column {name!a}, row {number}"
            raise DataError(f"{path}: {where}: {error}") from None
    return cells if is_there else None


def _found(row: Mapping[str, Any], name: str, steps: Sequence[str]) -> Any:
    # a row that has the name as its key needs no more
    if name in row:
        return row[name]
    asked, candidate = row.get(BID_REQUEST), row.get(CANDIDATE)
    parts = [candidate, row, asked] if isinstance(asked, dict) else [row]
    for part in parts:
        if not isinstance(part, Mapping):
            continue
        if name in part:
            return part[name]
        try:
            value = value_at(part, steps) if steps else ABSENT
        except ValueError as error:
            raise ValueError(f"expected an object on its path, got {error}") from None
        if value is not ABSENT:
            return value
    return ABSENT


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
