"""One column of a log as a draft sees it: what stands for null, and what its values look like."""

from functools import cached_property

import numpy as np
import polars as pl

from model.metrics.ranked_rows import Floats
from model.values.values import canonical, truths
from training.draft.column_names import AMOUNT, IDENTITY, THINGS, VERSION, name_words
from training.draft.row_order import counts_rows, is_of_requests, is_sample_of_rows
from training.draft.seen_lists import cut, listed, separator_of
from training.draft.seen_moments import Moments, seen_moments
from training.draft.whole_numbers import repeated_ids
from training.draft.written_numbers import (
    FEW_NUMBERS,
    WrittenNumbers,
    null_texts,
    sign_of,
    written_numbers,
)

ROUND_NULLS = (-99.0, -999.0, -9999.0, -99999.0, -999999.0)

LARGEST_EXACT = 2.0**53  # whole numbers from here on are ids, and lose digits as floats
LEAST_ID = 1e9  # numbers that all are as large, and come again, are ids
FEW_VERSIONS = 300

_VERSION = r"^[vV]?\d{1,4}(?:\.\d{1,6}){1,4}$"


class SeenColumn:
    """The cells of a column as JSON could hold them, beside the 0/1 labels [B] of their rows.

    `nulls`: the texts that stand for null. `known`: the cells that are not null.
    """

    def __init__(self, cells: pl.Series, y: Floats) -> None:
        self.words = name_words(cells.name)
        self.is_list = isinstance(cells.dtype, pl.List)
        if cells.dtype == pl.String:
            cells = cells.str.strip_chars().replace("", None)
        blank = cells.null_count()
        self.nulls = null_texts(cells)
        cells = cells.replace(list(self.nulls), [None] * len(self.nulls)) if self.nulls else cells
        self.null_rows = cells.null_count() - blank  # written as one of the nulls
        self.cells, self.known = cells, cells.drop_nulls()
        self.distinct = self.known.n_unique()
        self._y = y

    @cached_property
    def repeated(self) -> float:
        """The share of the known cells whose value comes again."""
        counts = self.known.value_counts(name="rows")["rows"]
        return float(counts.filter(counts > 1).sum()) / max(len(self.known), 1)

    @cached_property
    def numbers(self) -> pl.Series | None:
        """The known cells as numbers, if all of them are but texts that then stand for null."""
        if self.known.dtype == pl.Boolean or self.is_list or not len(self.known):
            return None
        if self.known.dtype.is_numeric():
            numbers = self.known.cast(pl.Float64)
        elif self.written is None:
            return None
        else:
            numbers = self.written.numbers
        return numbers if numbers.is_finite().all() else None

    @cached_property
    def written(self) -> WrittenNumbers | None:
        """Its texts, where nearly all of them are numbers."""
        return written_numbers(self.known) if self._is_text else None

    @property
    def _is_text(self) -> bool:
        return self.known.dtype == pl.String and len(self.known) > 0

    @property
    def odd_texts(self) -> tuple[str, ...]:
        """The few texts among numbers that can only stand for null."""
        return self.written.odd if self.written else ()

    @cached_property
    def sign(self) -> str | None:
        """The sign beside its numbers that keeps them from being read as such."""
        return sign_of(self.known) if self._is_text and self.distinct > FEW_NUMBERS else None

    @cached_property
    def null_numbers(self) -> tuple[str, ...]:
        """A number such as -999 that stands apart from all others, which are not negative."""
        numbers = self.numbers
        if numbers is None:
            return ()
        low = _float(numbers.min())
        rest = numbers.filter(numbers != low)
        apart = low in ROUND_NULLS and len(rest) and _float(rest.min()) >= 0
        return (f"{low:.0f}",) if apart and len(rest) < len(numbers) - 1 else ()

    @property
    def marks(self) -> tuple[str, str]:
        """What stands between thousands, or nothing, and before decimals, in numbers as text."""
        return (self.written.thousands, self.written.decimal) if self.written else ("", ".")

    @cached_property
    def moments(self) -> Moments | None:
        """The times that its values are."""
        if self.is_list or self.known.dtype == pl.Boolean or not len(self.known):
            return None
        return seen_moments(self.known, self.words, not IDENTITY.isdisjoint(self.words))

    @cached_property
    def is_counter(self) -> bool:
        """Whether it numbers the rows, or those of a log that these are some of."""
        if self._whole is None or len(self.known) < len(self.cells):
            return False
        if self.distinct < len(self.known):
            return False
        is_amount = not (AMOUNT - {"num", "number"}).isdisjoint(self.words)
        return counts_rows(self._whole) or (not is_amount and is_sample_of_rows(self._whole))

    @cached_property
    def is_of_requests(self) -> bool:
        """Whether its values number what is asked for in several rows at once."""
        if self.is_list or self.known.dtype == pl.Boolean or not THINGS.isdisjoint(self.words):
            return False
        if self.numbers is not None and self._whole is None:
            return False
        return is_of_requests(self.known, self.distinct)

    @cached_property
    def _whole(self) -> Floats | None:
        # its numbers, where all are whole
        if self.numbers is None or not (self.numbers == self.numbers.floor()).all():
            return None
        return self.numbers.to_numpy()

    @cached_property
    def is_version(self) -> bool:
        """Whether its values are versions, where 9.10 comes after 9.9 and is not 9.1."""
        texts = self.known
        if not self._is_text or self.distinct > FEW_VERSIONS:
            return False
        if self.marks[0] and not self._is_named_version:
            return False
        like_one = texts.str.contains(_VERSION)
        if not like_one.all() and not (self._is_named_version and 2 * like_one.sum() > len(texts)):
            return False
        values = texts.unique()
        if values.str.contains(r"^[vV]|\..*\.").any() or self._is_named_version:
            return True
        # two spellings of one number would be one value twice
        return bool(values.cast(pl.Float64, strict=False).n_unique() < len(values))

    @property
    def _is_named_version(self) -> bool:
        return not VERSION.isdisjoint(self.words)

    @cached_property
    def ids(self) -> str | None:
        """Why its numbers only name cases, so that half-way between two of them is nothing;
        None where they do not.
        """
        numbers = self.numbers
        if numbers is None or self._whole is None:
            return None
        if self.distinct <= FEW_NUMBERS:
            return "few whole numbers"
        if (numbers.abs() >= LARGEST_EXACT).any() or not IDENTITY.isdisjoint(self.words):
            return "whole numbers that name something"
        if not AMOUNT.isdisjoint(self.words) or self.marks != ("", ".") or self.null_numbers:
            return None
        if _float(numbers.min()) >= LEAST_ID and self.repeated > 0.5:
            return "whole numbers of ten digits and more that come again"
        known = self.cells.is_not_null()
        if self.odd_texts:
            known &= ~self.cells.is_in(list(self.odd_texts))
        return repeated_ids(self._whole, self._y[known.to_numpy()])

    @cached_property
    def lists(self) -> pl.Series | None:
        """The known cells as lists of texts, where they are lists, or such as tools write as text:
        ["a", "b"].
        """
        if self.is_list:
            return self.known
        return listed(self.known) if self._is_text else None

    @cached_property
    def is_truth(self) -> bool:
        """Whether its values are booleans, however they are written."""
        if self.known.dtype != pl.String:
            return self.known.dtype == pl.Boolean
        texts = self.known.unique().to_list() if self.distinct <= 12 else []
        return bool(texts) and len(truths(texts)) == len(texts)

    @cached_property
    def separator(self) -> str | None:
        """What cuts many cells into few values which come again in others."""
        return separator_of(self.known, self.distinct) if self._is_text else None

    def parts(self, separator: str) -> pl.Series:
        """The known cells, cut."""
        if self.lists is not None:
            return self.lists
        return cut(self.known, separator)

    def texts(self) -> pl.Series:
        """The cells as text, equal for equal values."""
        if self.is_list:
            return pl.Series([None if cell is None else str(cell) for cell in self.cells.to_list()])
        form = {value: canonical(value) for value in self.known.unique().to_list()}
        return pl.Series([None if cell is None else form[cell] for cell in self.cells.to_list()])


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float | np.floating) else 0.0
