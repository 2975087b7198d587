"""The fields that a draft has: of which kind a column is, why, and why one is left out."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.errors import DataError
from model.schema import CategoricalField, Field, MultivalueField, NumericField, Role
from training.data.json_lines import BID_REQUEST
from training.data.json_lines import CANDIDATE as CANDIDATE_OF_IT
from training.data.leaks import leak, strength
from training.draft.column_names import CANDIDATE, PERSON_PATHS, is_of_a_person
from training.draft.seen_column import SeenColumn
from training.draft.seen_moments import is_moment

REPEATED = 0.01  # a column with a smaller share of repeated values says nothing about the next row
ROWS_PER_BIN = 100  # fewer, and a number is a factor of one embedding rather than a bin
HEAVY_TAIL = 3.0  # mean over median
MOST_VALUES = 8  # each value of a multi-valued field is one more of F slots, and pairs grow as F²
STRONG = 0.8  # the AUC of one amount from which it may be known only after the click

ROLES: Mapping[str, Role] = {BID_REQUEST: "context", CANDIDATE_OF_IT: "candidate"}

Found = tuple[str, dict[str, Field]]


class DraftedFields:
    """What the columns looked at so far come to: `fields`, what was `seen` of each, and what was
    `left_out`, with its reason. `labels`: float32 [rows].
    """

    def __init__(self, names: Sequence[str], labels: NDArray[np.float32]) -> None:
        self._names = frozenset(names)
        self._labels = labels
        self._same: dict[int, str] = {}
        self.fields: dict[str, Field] = {}
        self.seen: dict[str, str] = {}
        self.left_out: list[str] = []
        self.time_format: str | None = None

    def look_at(self, cells: pl.Series) -> None:
        """Draft the fields of one more column, or leave it out. Of a bid request that was answered
        a field's source is the path into its part, which says the role.
        """
        part, dot, path = cells.name.partition(".")
        role = ROLES.get(part) if dot else None
        name = cells.name if role is None else path
        cells = cells.rename(name)
        column = SeenColumn(cells, self._labels.astype(np.float64))
        useless = self._useless(column, name)
        why, found = (useless, {}) if useless else self._fields(column, name)
        if role is not None:
            found = {n: field.model_copy(update={"role": role}) for n, field in found.items()}
        if not found:
            self.left_out.append(f"{shown(name)}: {why}")
        if name in PERSON_PATHS or is_of_a_person(column.words):
            found = {n: field.model_copy(update={"private": True}) for n, field in found.items()}
            why += "; private, as its name says it tells who somebody is"
        self._add(found, f"{_summary(column)}; {why}")

    def look_at_time(self, cells: pl.Series) -> None:
        """Draft the parts of the column that says when a row was seen.

        Raises:
            DataError: none of its values is a moment.
        """
        column = SeenColumn(cells, self._labels.astype(np.float64))
        if column.moments is None and not any(map(is_moment, cells.drop_nulls().unique())):
            raise DataError(
                f"column {cells.name!r} is no time: it needs dates, times in ISO 8601 or Unix times"
            )
        why, found = self._parts(column, cells.name) or ("", {})
        if column.moments is not None and column.moments.is_text:
            self.time_format = column.moments.format
        self._add(found, f"{_summary(column)}; {why}")

    def _add(self, found: dict[str, Field], seen: str) -> None:
        found = {
            self._free(name.replace(".", "_")) if "." in name else name: field
            if "." not in name or field.source
            else field.model_copy(update={"source": name})
            for name, field in found.items()
        }
        self.fields |= found
        self.seen |= dict.fromkeys(found, seen)

    def _useless(self, column: SeenColumn, name: str) -> str | None:
        # why the column cannot be a field
        if not name:
            return "a column without a name"
        if column.cells.n_unique() == 1:
            return "the same in every row"
        if column.is_counter and column.moments is None:
            return (
                f"a counter of the rows: nearly every row has a value of its own "
                f"({column.distinct} distinct)"
            )
        if column.is_of_requests and column.moments is None:
            return (
                f"each of its {column.distinct} values comes in rows that follow each other, and "
                f"never again: the number of a request. If it is what is ranked together, name it "
                f"by --group"
            )
        if (why := leak(column.cells, self._labels)) is not None:
            return f"LEAK: {why}: it must be known only after the click"
        content = hash(tuple(column.texts().to_list()))
        if (first := self._same.setdefault(content, name)) != name:
            return f"the same in every row as {shown(first)}"
        return None

    def _fields(self, column: SeenColumn, name: str) -> Found:
        # why the column is of that kind, and its fields: none where it has to be left out
        role: Role = "context" if CANDIDATE.isdisjoint(column.words) else "candidate"
        if (parts := self._parts(column, name)) is not None:
            return parts
        if column.is_version:
            return "versions, of which 9.10 is not 9.1", {
                name: CategoricalField(
                    kind="categorical", role=role, as_text=True, null_values=column.nulls
                )
            }
        if column.lists is not None:
            return _multivalue(column, name, role, "|")
        if column.numbers is not None and not column.is_truth:
            if column.ids is None:
                return self._numeric(column, name, role)
        elif column.sign is None and column.separator is not None:
            return _multivalue(column, name, role, column.separator)
        if column.repeated < REPEATED:
            signed = f"; {_signed(column)}" if column.sign else ""
            own = f"nearly every row has a value of its own ({column.distinct} distinct)"
            return own + signed, {}
        return _why_categorical(column), {name: _categorical(column, role)}

    def _parts(self, column: SeenColumn, name: str) -> Found | None:
        # the parts of a time that come again; no category, as tomorrow's would be new
        moments = column.moments
        if moments is None:
            return None
        what = "a time" if moments.hours > 1 else "a date"
        parts = moments.parts()
        if not parts:
            short = f"{what} of too short a log for its parts, and the next will be new"
            return f"{short}; if it is the time, name it by --time", {}
        nulls = (*column.nulls, *moments.odd)
        found: dict[str, Field] = {
            self._free(f"{name}_{part}"): CategoricalField(
                kind="categorical",
                source=name,
                part=part,
                format=moments.format,
                null_values=nulls,
            )
            for part in parts
        }
        form = f" written as {moments.format}" if moments.format else ""
        return f"of {what}{form}, whose own next value will be new", found

    def _free(self, name: str) -> str:
        while name in self._names or name in self.fields:
            name += "_"
        return name

    def _numeric(self, column: SeenColumn, name: str, role: Role) -> Found:
        numbers = column.numbers
        assert numbers is not None  # noqa: S101  its caller looked
        nulls = (*column.nulls, *column.odd_texts, *column.null_numbers)
        if column.null_numbers:
            numbers = numbers.filter(numbers != float(column.null_numbers[0]))
        low, high = _float(numbers.min()), _float(numbers.max())
        why = f"numbers from {low:g} to {high:g}"
        transform, bins = "standardise", min(32, len(numbers) // ROWS_PER_BIN)
        mean, median = _float(numbers.mean()), _float(numbers.median())
        if bins >= 8:
            transform, why = "quantile", f"{why}, each bin with about as many rows"
        elif low >= 0 and mean > HEAVY_TAIL * median:
            transform, why = "log1p", f"{why}, a long tail"
        if nulls:
            blank = column.cells.null_count()
            share = len(numbers) / max(len(column.cells) - blank + column.null_rows, 1)
            why += f"; {100 * share:.0f} % of values are numbers; the others: {_listed(nulls)}"
        alone = strength(column.cells, self._labels) or 0.0
        if alone > STRONG:
            why += f"; alone it ranks the label with AUC {alone:.2f}: known before the click?"
        thousands, decimal = column.marks
        settings = {"bins": bins} if transform == "quantile" else {}
        marks = {"thousands": thousands, "decimal": decimal} if decimal == "," or thousands else {}
        field = NumericField.model_validate(
            {
                "kind": "numeric",
                "role": role,
                "transform": transform,
                "null_values": nulls,
                **settings,
                **marks,
            }
        )
        return why, {name: field}


def _multivalue(column: SeenColumn, name: str, role: Role, separator: str) -> Found:
    parts = column.parts(separator)
    values = parts.explode().drop_nulls()
    if values.n_unique() > (1 - REPEATED) * len(values):
        return "lists of values that do not come again", {}
    lengths = parts.list.len()
    longest = int(_float(lengths.max())) or 1
    width = min(longest, MOST_VALUES, max(2, int(lengths.quantile(0.99, "higher") or 1)))
    cut = f", the first {width} of them used" if longest > width else ""
    field = MultivalueField(
        kind="multivalue",
        role=role,
        separator=separator,
        max_values=width,
        null_values=column.nulls,
    )
    return f"up to {longest} values in a cell{cut}", {name: field}


def _categorical(column: SeenColumn, role: Role) -> CategoricalField:
    # a text that many rows have beside ids is one of them
    written = column.written if column.ids else None
    odd = written.odd if written and written.are_rare else ()
    return CategoricalField(kind="categorical", role=role, null_values=(*column.nulls, *odd))


def _signed(column: SeenColumn) -> str:
    return f"numbers with a {column.sign} sign: written without it they would be a numeric field"


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(text if text.isprintable() else shown(text) for text in texts)


def _why_categorical(column: SeenColumn) -> str:
    if column.sign:
        return _signed(column)
    if column.is_truth:
        return "true or false"
    if column.ids is not None:
        return column.ids
    return "text" if column.known.dtype == pl.String else str(column.known.dtype).lower()


def _summary(column: SeenColumn) -> str:
    missing = column.cells.null_count() / len(column.cells)
    share = f"{missing:.1%} missing" if missing else "none missing"
    nulls = f" ({', '.join(column.nulls)})" if column.nulls else ""
    return f"{column.distinct} distinct, {share}{nulls}"


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def shown(name: str) -> str:
    """A name as a comment shows it; TOML's comments allow no control characters."""
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")
