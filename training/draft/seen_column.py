"""One column of a log as a draft sees it: what stands for null, and what its values look like.

>>> name_words("userId"), name_words("site_category")
(['user', 'id'], ['site', 'category'])
"""

import re
from functools import cached_property

import numpy as np
import polars as pl

from model.metrics.ranked_rows import Floats
from model.values.values import NUMERIC, canonical, members, truths
from training.draft.seen_moments import Moments, seen_moments
from training.draft.whole_numbers import repeated_ids

# what things are called that have a name, even where the name is a number
IDENTITY = frozenset({
    "ad", "advertiser", "app", "area", "brand", "category", "city", "code", "country",
    "creative", "device", "domain", "group", "hash", "host", "id", "ids", "ip", "item", "key",
    "keyword", "merchant", "os", "page", "postcode", "product", "publisher", "query", "region",
    "seller", "session", "site", "sku", "slot", "store", "title", "url", "user", "uuid", "zip",
    "zone",
})  # fmt: skip
# what is measured or counted, though few numbers of it come again and again
AMOUNT = frozenset({
    "age", "amount", "average", "avg", "balance", "bid", "budget", "clicks", "cost", "count",
    "ctr", "days", "discount", "distance", "duration", "height", "hours", "impressions", "income",
    "length", "mean", "median", "minutes", "number", "num", "percent", "price", "quantity", "rank",
    "rate", "ratio", "revenue", "salary", "score", "seconds", "size", "spend", "sum",
    "temperature", "tenure", "total", "views", "visits", "weight", "width", "year", "years",
})  # fmt: skip
VERSION = frozenset({"build", "release", "ver", "version"})
# written by tools where nothing was known
NULLS = frozenset({
    "NULL", "null", "Null", "\\N", "NaN", "nan", "NAN", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>",
    "None", "(null)", "NaT", "nil", "?", "-", "undefined",
})  # fmt: skip
ROUND_NULLS = (-99.0, -999.0, -9999.0, -99999.0, -999999.0)

FEW_NUMBERS = 32  # so few whole numbers are names of cases: hours, months, positions
LARGEST_EXACT = 2.0**53  # whole numbers from here on are ids, and lose digits as floats
MOSTLY_NUMBERS = 0.95  # the share of numbers from which a few other texts stand for null
FEW_TEXTS = 3
SEPARATED = 0.02  # the share of cells from which a separator is believed
FEW_VERSIONS = 300

_THOUSANDS = r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$"
_DECIMAL_COMMA = r"^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d+$"
_VERSION = r"^[vV]?\d{1,4}(?:\.\d{1,6}){1,4}$"


def name_words(name: str) -> list[str]:
    """The words of a column's name: user_id, userId and userid are user and id."""
    words = [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    return [
        part
        for word in words
        for part in (
            (word[:-2], "id") if word.endswith("id") and word[:-2] in IDENTITY else (word,)
        )
    ]


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
        self.nulls = _null_texts(cells)
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
        else:
            texts = self._written
            numbers = texts.filter(texts.str.contains(f"^(?:{NUMERIC})$")).cast(pl.Float64)
            others = len(texts) - len(numbers)
            if not len(numbers) or (others and not self.odd_texts):
                return None
            if texts.str.contains(r"^-?0\d").any():  # 00123 is no number
                return None
        return numbers if numbers.is_finite().all() else None

    @cached_property
    def odd_texts(self) -> tuple[str, ...]:
        """The few texts among numbers that can only stand for null."""
        if self.known.dtype != pl.String:
            return ()
        texts = self._written
        others = texts.filter(~texts.str.contains(f"^(?:{NUMERIC})$"))
        few = others.n_unique() <= FEW_TEXTS and len(others) <= (1 - MOSTLY_NUMBERS) * len(texts)
        return tuple(others.unique(maintain_order=True)) if few else ()

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

    @cached_property
    def marks(self) -> tuple[str, str]:
        """What stands between thousands, or nothing, and before decimals, in numbers as text."""
        texts = self.known
        if texts.dtype != pl.String or not len(texts):
            return "", "."
        grouped = texts.str.contains(_THOUSANDS)
        whole = texts.str.contains(r"^[+-]?\d{1,3}(?:\.\d+)?$")
        if grouped.any() and (grouped | whole).all():
            return ",", "."
        comma = texts.str.contains(_DECIMAL_COMMA)
        plain = texts.str.contains(r"^[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+)$")
        if 2 * comma.sum() > len(texts) and (comma | plain).all():
            return ("." if texts.str.contains(".", literal=True).any() else ""), ","
        return "", "."

    @property
    def _written(self) -> pl.Series:
        # the known cells with numbers as JSON has them
        thousands, decimal = self.marks
        texts = self.known.cast(pl.String)
        if thousands:
            texts = texts.str.replace_all(thousands, "", literal=True)
        return texts if decimal == "." else texts.str.replace_all(decimal, ".", literal=True)

    @cached_property
    def moments(self) -> Moments | None:
        """The times that its values are."""
        if self.is_list or self.known.dtype == pl.Boolean or not len(self.known):
            return None
        return seen_moments(self.known, self.words, not IDENTITY.isdisjoint(self.words))

    @property
    def is_counter(self) -> bool:
        """Whether it numbers the rows."""
        numbers = self.numbers
        if numbers is None or len(numbers) < len(self.cells) or self.distinct < len(numbers):
            return False
        if not (numbers == numbers.floor()).all():
            return False
        dense = _float(numbers.max()) - _float(numbers.min()) < 1.01 * len(numbers)
        return bool(dense or (numbers.diff().drop_nulls() > 0).all())

    @cached_property
    def is_version(self) -> bool:
        """Whether its values are versions, where 9.10 comes after 9.9 and is not 9.1."""
        texts = self.known
        if texts.dtype != pl.String or not len(texts) or self.distinct > FEW_VERSIONS:
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
        if numbers is None or not (numbers == numbers.floor()).all():
            return None
        if self.distinct <= FEW_NUMBERS:
            return "few whole numbers"
        if (numbers.abs() >= LARGEST_EXACT).any() or not IDENTITY.isdisjoint(self.words):
            return "whole numbers that name something"
        if not AMOUNT.isdisjoint(self.words) or self.marks != ("", ".") or self.null_numbers:
            return None
        known = self.cells.is_not_null()
        if self.odd_texts:
            known &= ~self.cells.is_in(list(self.odd_texts))
        return repeated_ids(numbers.to_numpy(), self._y[known.to_numpy()])

    @cached_property
    def lists(self) -> pl.Series | None:
        """The known cells as lists of texts, where they are lists, or such as tools write as text:
        ["a", "b"].
        """
        if self.is_list:
            return self.known
        if self.known.dtype != pl.String or not len(self.known):
            return None
        if not self.known.str.contains(r"^(?:\[.*\]|\{.*\})$").all():
            return None
        parsed = [[str(one) for one in members(cell, "|")] for cell in self.known]
        return pl.Series(self.known.name, parsed, dtype=pl.List(pl.String))

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
        if self.is_list or self.known.dtype != pl.String:
            return None
        for mark in "|;,":
            with_mark = self.known.str.contains(mark, literal=True)
            if _float(with_mark.mean()) < SEPARATED:
                continue
            separator = _spaced(mark, self.known.filter(with_mark))
            values = self.parts(separator).explode().drop_nulls()
            vocabulary = values.n_unique()
            again = vocabulary * 2 <= len(values)
            # prose has commas too, but no small vocabulary between them
            if again and (vocabulary < self.distinct or (mark == "|" and vocabulary < 100)):
                return separator
        return None

    def parts(self, separator: str) -> pl.Series:
        """The known cells, cut."""
        if self.lists is not None:
            return self.lists
        return self.known.str.split(separator).list.eval(pl.element().filter(pl.element() != ""))

    def texts(self) -> pl.Series:
        """The cells as text, equal for equal values."""
        if self.is_list:
            return pl.Series([None if cell is None else str(cell) for cell in self.cells.to_list()])
        form = {value: canonical(value) for value in self.known.unique().to_list()}
        return pl.Series([None if cell is None else form[cell] for cell in self.cells.to_list()])


def _null_texts(cells: pl.Series) -> tuple[str, ...]:
    if cells.dtype != pl.String:
        return ()
    values = cells.drop_nulls().unique()
    found = sorted(NULLS.intersection(values))
    others = values.filter(~values.is_in(found))
    if "NA" in found and len(others) > 9 and others.str.contains("^[A-Z]{2}$").all():
        found.remove("NA")  # Namibia among countries
    if "-" in found and "+" in set(others):
        found.remove("-")
    return tuple(found)


def _spaced(mark: str, cells: pl.Series) -> str:
    for separator in (f" {mark} ", f"{mark} "):
        spaced = cells.str.count_matches(separator, literal=True)
        if (spaced == cells.str.count_matches(mark, literal=True)).all():
            return separator
    return mark


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float | np.floating) else 0.0
