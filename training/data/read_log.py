r"""Reads a click log by its schema.

>>> import tempfile
>>> from pathlib import Path
>>> schema = Schema.parse('label = "click"\n[fields.device]\nkind = "categorical"\n')
>>> with tempfile.TemporaryDirectory() as folder:
...     path = Path(folder) / "log.csv"
...     _ = path.write_text("click,device\n1,ios\n0,web\n")
...     read_log(path, schema).columns
{'device': ['ios', 'web']}
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.errors import DataError
from model.held_out import text_number
from model.schema import CategoricalField, Field, MultivalueField, NumericField, Schema
from model.values.moments import moment
from model.values.values import NUMERIC, PLAIN, Column, Reading, canonical, truths
from training.columns.cells import Cells, Numbers
from training.data.log import Ints, Log
from training.data.table import Given, Table, bad_cell, plain, read_table

HIGHEST_GRADE = 31  # its gain, 2^grade - 1, and a sum of such are exact in float64
_CLICK = "a label must be 0 or 1 (or yes and no, or true and false)"


def read_log(
    path: Given,
    schema: Schema,
    *,
    labelled: bool = True,
    sources: Collection[str] | None = None,
) -> Log:
    """Read a log by its schema. A blank cell, or NaN in Parquet, is null; cells of text stay as
    they are unless the field is numeric.

    `labelled=False` reads only the fields, for scoring: label, weight, group and time may be
    absent. `sources`: the columns of fields that are read; None for all.

    Raises:
        DataError: unreadable, empty, without a column that the schema names, or with a cell that
            its column cannot hold.
    """
    table = read_table(path, columns_of(schema, labelled=labelled, sources=sources))
    log = rows_of(table, schema, labelled=labelled, sources=sources)
    if log.weights is not None:
        require_weight(log.weights, schema, log.source)
    return log


def columns_of(
    schema: Schema, *, labelled: bool = True, sources: Collection[str] | None = None
) -> list[str]:
    """The columns of a log that its schema names; without labels, only those of the fields."""
    roles = (schema.label, schema.weight, schema.group, schema.time) if labelled else ()
    return [*(name for name in roles if name), *_fields(schema, sources)]


def require_weight(weights: NDArray[np.float32], schema: Schema, source: str) -> None:
    """Refuse a log whose rows all have the weight 0.

    Raises:
        DataError: they have.
    """
    if not weights.any():
        raise DataError(f"{source}: weight {schema.weight!r} is 0 in every row")


def rows_of(
    table: Table,
    schema: Schema,
    *,
    labelled: bool = True,
    sources: Collection[str] | None = None,
) -> Log:
    """The rows of a table that has the columns of `columns_of`; those of the fields are dropped
    from it.

    Raises:
        DataError: a cell that its column cannot hold.
    """
    read, frame, rows = _Columns(table), table.frame, len(table.frame)
    columns = {}
    for source, of_source in _fields(schema, sources).items():
        columns[source] = read.values(source, of_source)
        if not labelled or source not in (schema.weight, schema.group, schema.time):
            frame.drop_in_place(source)  # of no more use, and most of the memory
    if not labelled:
        return Log(columns, np.full(rows, np.nan, np.float32), source=str(table))
    return Log(
        columns,
        label_array(frame[schema.label], schema.task, table, schema.targets),
        read.weights(schema.weight) if schema.weight else None,
        read.groups(schema.group) if schema.group else None,
        read.times(schema.time, schema.time_format) if schema.time else None,
        str(table),
    )


def _fields(schema: Schema, sources: Collection[str] | None) -> dict[str, list[Field]]:
    # the fields that read each source
    fields: dict[str, list[Field]] = {}
    for name, source in schema.sources.items():
        if sources is None or source in sources:
            fields.setdefault(source, []).append(schema.fields[name])
    return fields


@dataclass(frozen=True)
class _Members:
    # the values of a multi-valued cell

    reading: Reading

    def __call__(self, cell: Any) -> list[Any] | None:
        # a blank cell and its list are one thing; null stays null, as in JSON
        return None if cell is None or cell == "" else self.reading.members(cell)


class _Columns:
    # one table's columns as what the schema says they are

    def __init__(self, table: Table) -> None:
        self._table = table
        self._frame = table.frame

    def values(self, name: str, fields: Sequence[Field]) -> Column:
        """The column that some fields have as their source."""
        series = self._frame[name]
        cells = plain(series, self._table)
        for field in fields:
            if not isinstance(field, MultivalueField) and field.part is not None:
                self._check_moments(series.name, cells, field)
            elif isinstance(field, CategoricalField) and isinstance(cells.dtype, pl.List):
                raise DataError(
                    f"{self._table}: column {name!r} holds lists, "
                    f"which a categorical field cannot: make its kind multivalue"
                )
        first, *others = fields
        if isinstance(first, NumericField) and first.part is None:
            numbers = self._numbers(series, first.reading)
            if not others:
                return Numbers(numbers.to_numpy().astype(np.float64))
        if others:  # which may read one cell each in their own way
            return Cells.of(cells)
        if isinstance(first, MultivalueField):
            return Cells.of(cells, _Members(first.reading))
        # as they stand: vocabularies of earlier bundles have texts in other forms
        return Cells.of(cells).without_blanks()

    def _check_moments(
        self, name: str, cells: pl.Series, field: CategoricalField | NumericField
    ) -> None:
        for value in cells.unique(maintain_order=True).to_list():
            try:
                field.part_of(value)
            except ValueError:
                row = cells.to_list().index(value)
                form = f"a time of the form {field.format}" if field.format else "a moment"
                raise self._bad(name, row, f"expected {form}") from None

    def weights(self, name: str) -> NDArray[np.float32]:
        numbers = self._present(self._frame[name], "weight")
        if (numbers < 0).any():
            raise self._bad(name, int(np.argmax(numbers < 0)), "a weight cannot be negative")
        return numbers.astype(np.float32)

    def groups(self, name: str) -> Ints:
        cells = plain(self._frame[name], self._table).cast(pl.String)
        cells = cells.str.strip_chars().replace("", None)
        if cells.null_count():
            raise self._bad(name, int(cells.is_null().arg_max() or 0), "a group cannot be blank")
        numbers = {text: text_number(canonical(text)) for text in cells.unique()}
        return np.array([numbers[text] for text in cells], np.int64)

    def times(self, name: str, form: str | None) -> NDArray[np.float64]:
        series = self._frame[name]
        if form is not None:
            return self._moments(name, plain(series, self._table), form)
        if series.dtype in (pl.Date, pl.Datetime):
            return self._present(series.cast(pl.Datetime("us")).to_physical() / 1e6, "time")
        if series.dtype == pl.String:
            numbers = series.str.strip_chars().cast(pl.Float64, strict=False)
            if numbers.null_count() * 2 > len(series):  # dates, or nearly all of them
                return np.array([self._moment(name, row, cell) for row, cell in enumerate(series)])
        return self._present(series, "time")

    def _moments(self, name: str, cells: pl.Series, form: str) -> NDArray[np.float64]:
        known: dict[Any, float] = {}
        for row, cell in enumerate(cells.to_list()):
            if cell in known:
                continue
            try:
                known[cell] = moment("" if cell is None else cell, form).timestamp()
            except ValueError:
                raise self._bad(name, row, f"expected a time of the form {form}") from None
        return np.array([known[cell] for cell in cells], np.float64)

    def _moment(self, name: str, row: int, cell: str | None) -> float:
        try:
            moment = datetime.fromisoformat((cell or "").strip())
        except ValueError:
            wanted = "a time must be a number or an ISO date, or of the schema's time_format"
            raise self._bad(name, row, wanted) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    def _present(self, series: pl.Series, role: str) -> NDArray[np.float64]:
        numbers = self._numbers(series)
        if numbers.null_count():
            row = int(numbers.is_null().arg_max() or 0)
            raise self._bad(series.name, row, f"a {role} cannot be blank")
        return numbers.to_numpy().astype(np.float64)

    def _numbers(self, series: pl.Series, reading: Reading = PLAIN) -> pl.Series:
        cells = plain(series, self._table)
        if not (cells.dtype.is_numeric() or cells.dtype in (pl.String, pl.Null)):
            raise DataError(
                f"{self._table}: column {series.name!r} holds {series.dtype}, not numbers"
            )
        if cells.dtype == pl.String:
            cells = cells.str.strip_chars()
            if reading.has_marks:
                texts = cells.drop_nulls().unique().to_list()
                cells = cells.replace(texts, list(map(reading.written, texts)))
            is_number = cells.str.contains(f"^(?:{NUMERIC})$").fill_null(False)
            # what is left is null, or in error; of each there are few
            nulls = [text for text in cells.filter(~is_number).unique() if _is_null(text, reading)]
            cells = cells.replace(nulls, [None] * len(nulls))
            numbers = cells.set(~is_number, None).cast(pl.Float64, strict=False)
        else:
            numbers = cells.cast(pl.Float64, strict=False)
        bad = (numbers.is_null() & cells.is_not_null()) | ~numbers.is_finite().fill_null(True)
        if bad.any():
            raise self._bad(series.name, int(bad.arg_max() or 0), "expected a finite number")
        if reading.null_numbers:
            return numbers.set(numbers.is_in(list(reading.null_numbers)), None)
        return numbers

    def _bad(self, name: str, row: int, wanted: str) -> DataError:
        return bad_cell(self._table, self._frame[name], row, wanted)


def _is_null(text: str | None, reading: Reading) -> bool:
    try:
        return reading.number(text) is None
    except ValueError:
        return False


def label_array(
    series: pl.Series, task: str, path: Path | Table, targets: str = "as_given"
) -> NDArray[np.float32]:
    """A label column as float32 [B]: 0 and 1 (or words for false and true, as `truths` has them)
    for task click, grades from 0 for ranking, else numbers; with `targets` plus_minus_one, -1 and 1
    of labels 0 and 1.

    Raises:
        DataError: names the first row with another value.
    """
    cells = series.cast(pl.String, strict=False).str.strip_chars()
    lower = cells.str.to_lowercase().replace({"true": "1", "false": "0"})
    is_click = task == "click" or targets == "plus_minus_one"
    if is_click and (words := _words(cells)):
        lower = cells.replace_strict(words, default=None)
    numbers = lower.cast(pl.Float64, strict=False)
    if is_click:
        bad, wanted = ~numbers.is_in([0.0, 1.0]).fill_null(False), _CLICK
    elif task == "ranking":
        bad = ~numbers.is_between(0, HIGHEST_GRADE).fill_null(False)
        wanted = f"a label must be a number from 0 to {HIGHEST_GRADE}"
    else:
        bad, wanted = ~numbers.is_finite().fill_null(False), "a label must be a finite number"
    if bad.any():
        raise bad_cell(path, series, int(bad.arg_max() or 0), f"{wanted} for task {task}")
    given = numbers.to_numpy().astype(np.float32)
    return 2 * given - 1 if targets == "plus_minus_one" else given


def _words(cells: pl.Series) -> dict[str, str]:
    # what says true and false, where nothing else stands in the column
    found = cells.drop_nulls().unique().to_list()
    said = truths(found)
    return (
        {word: str(int(truth)) for word, truth in said.items()} if len(said) == len(found) else {}
    )
