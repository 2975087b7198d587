"""A column of a log in few bytes a row: the different values once with a code a row, or numbers.

Both are sequences of the values that a request's JSON would hold, so that whatever reads a row at a
time reads them too. What reads whole columns works on the different values, which are few.

>>> cells = Cells.of(pl.Series(["ios", "web", None, "ios"]))
>>> cells.codes.tolist(), list(cells), list(cells.take(np.array([2, 1])))
([0, 1, 2, 0], ['ios', 'web', None, 'ios'], [None, 'web'])
>>> list(Numbers(np.array([1.5, np.nan])))
[1.5, None]
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from typing_extensions import override

from model.values.values import Column

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]


class _Values(Sequence[Any]):
    # a sequence that compares as a list does

    @abstractmethod
    def to_list(self) -> list[Any]:
        """All values."""

    @override
    def __iter__(self) -> Iterator[Any]:
        return iter(self.to_list())

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.to_list() == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list has none

    @override
    def __repr__(self) -> str:
        return repr(self.to_list())


@dataclass(frozen=True, eq=False, repr=False)
class Cells(_Values):
    """B values. `distinct`: each of them once, or more often where columns were joined, and perhaps
    others; `codes`: int32 [B], the place of each row's value there. `form`: what makes the value of
    a distinct cell, where that is not the cell itself.
    """

    distinct: pl.Series
    codes: Codes
    form: Callable[[Any], Any] | None = None

    @classmethod
    def of(cls, series: pl.Series, form: Callable[[Any], Any] | None = None) -> "Cells":
        """The cells of a series, distinct ones in the order of their first rows."""
        if series.dtype == pl.String:
            return cls(*_text_codes(series), form)
        distinct = series.unique(maintain_order=True)
        places = pl.Series("place", np.arange(len(distinct), dtype=np.int32))
        joined = series.to_frame("cell").join(
            pl.DataFrame([distinct.alias("cell"), places]),
            on="cell",
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        return cls(distinct, joined["place"].to_numpy(), form)

    @classmethod
    def of_null(cls, rows: int) -> "Cells":
        """As many rows without a value."""
        return cls(pl.Series([None], dtype=pl.Null), np.zeros(rows, np.int32))

    def without_blanks(self) -> "Cells":
        """With null for each empty text."""
        if self.distinct.dtype != pl.String:
            return self
        return Cells(self.distinct.replace("", None), self.codes, self.form)

    @override
    def __len__(self) -> int:
        return len(self.codes)

    @override
    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return Cells(self.distinct, self.codes[at], self.form).to_list()
        cell = self.distinct[int(self.codes[at])]
        return self._formed([cell.to_list() if isinstance(cell, pl.Series) else cell])[0]

    @override
    def to_list(self) -> list[Any]:
        """See `_Values`."""
        values = self.values()
        return [values[code] for code in self.codes.tolist()]

    def values(self) -> list[Any]:
        """The values of `distinct`."""
        return self._formed(self.distinct.to_list())

    def counts(self) -> Ints:
        """How many rows have each of `distinct`."""
        return np.bincount(self.codes, minlength=len(self.distinct))

    def take(self, rows: Ints) -> "Cells":
        """Those at `rows`."""
        return Cells(self.distinct, self.codes[rows], self.form)

    def used(self) -> tuple[list[Any], Ints]:
        """The values that some row has, and the place of each in `distinct`."""
        places = np.flatnonzero(self.counts())
        return self._formed(self.distinct[places].to_list()), places

    def _formed(self, cells: list[Any]) -> list[Any]:
        return cells if self.form is None else [self.form(cell) for cell in cells]


@dataclass(frozen=True, eq=False, repr=False)
class Numbers(_Values):
    """B numbers. `array`: float64 [B], finite, or NaN for null."""

    array: NDArray[np.float64]

    @override
    def __len__(self) -> int:
        return len(self.array)

    @override
    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return Numbers(self.array[at]).to_list()
        number = float(self.array[at])
        return None if number != number else number

    @override
    def to_list(self) -> list[Any]:
        """See `_Values`."""
        return [None if number != number else number for number in self.array.tolist()]

    def take(self, rows: Ints) -> "Numbers":
        """Those at `rows`."""
        return Numbers(self.array[rows])


def taken(column: Column, rows: Ints) -> Column:
    """The values of a column at `rows`."""
    if isinstance(column, Cells | Numbers):
        return column.take(rows)
    return [column[row] for row in rows.tolist()]


def joined(columns: Sequence[Column]) -> Column:
    """One column behind the other."""
    if all(isinstance(column, Numbers) for column in columns):
        return Numbers(np.concatenate([column.array for column in columns]))  # type: ignore[attr-defined]  # looked at above
    first = columns[0]
    if isinstance(first, Cells) and all(_goes_with(first, column) for column in columns):
        sizes = np.cumsum([0, *(len(column.distinct) for column in columns)])  # type: ignore[attr-defined]  # as above
        codes = [
            column.codes + np.int32(size)  # type: ignore[attr-defined]  # as above
            for column, size in zip(columns, sizes, strict=False)
        ]
        distinct = pl.concat([column.distinct for column in columns])  # type: ignore[attr-defined]  # as above
        return Cells(distinct, np.concatenate(codes), first.form)
    return [value for column in columns for value in column]


def _goes_with(first: Cells, other: Column) -> bool:
    return (
        isinstance(other, Cells)
        and other.distinct.dtype == first.distinct.dtype
        and other.form == first.form
    )


def _text_codes(texts: pl.Series) -> tuple[pl.Series, Codes]:
    # polars numbers the categories of a column in the order of their first rows
    own = pl.Categorical(pl.Categories.random())
    physical = texts.cast(own).to_physical()
    nulls = physical.null_count()
    codes = physical.fill_null(0).to_numpy().astype(np.int32)
    size = 0 if nulls == len(codes) else int(codes.max(initial=-1)) + 1
    if nulls:
        codes[physical.is_null().to_numpy()] = size
    first = np.empty(size + bool(nulls), np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return texts[first], codes
