"""Drafts a schema by looking at a log: which columns are fields, and of what kind. A draft is a
start to be read and edited, so each field stands with what was seen of it.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from model.errors import DataError, reason
from model.schema import (
    CategoricalField,
    Field,
    MultivalueField,
    NumericField,
    Role,
    Schema,
)
from training.data.files import Data
from training.data.table import label_array, plain, read_table, require_columns

CANDIDATE = frozenset({
    "ad", "ads", "advert", "advertiser", "banner", "bid", "brand", "campaign", "candidate",
    "coupon", "creative", "description", "item", "keyword", "landing", "merchant", "offer",
    "price", "product", "seller", "sku", "title", "url",
})  # fmt: skip
# what things are called that have a name, even where the name is a number
IDENTITY = frozenset({
    "ad", "advertiser", "app", "area", "brand", "category", "city", "code", "country",
    "creative", "device", "domain", "group", "hash", "host", "id", "ids", "ip", "item", "key",
    "keyword", "merchant", "os", "page", "postcode", "product", "publisher", "query", "region",
    "seller", "session", "site", "sku", "slot", "store", "title", "url", "user", "uuid", "zip",
    "zone",
})  # fmt: skip
MOMENT = frozenset({"date", "datetime", "timestamp"})

FEW_NUMBERS = 32  # so few whole numbers are names of cases: hours, months, positions
REPEATED = 0.01  # a column with a smaller share of repeated values tells nothing of the next row
LARGEST_EXACT = 2.0**53  # whole numbers from here on are ids, and lose digits as floats
ROWS_PER_BIN = 100  # fewer, and a number is a factor of one embedding rather than a bin
HEAVY_TAIL = 3.0  # mean over median
MOST_VALUES = 8  # each value of a multi-valued field is one more of F slots, and pairs grow as F²
SEPARATED = 0.02  # the share of cells from which a separator is believed


def draft_schema(
    path: Path | Data,
    label: str,
    *,
    drop: Sequence[str] = (),
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
) -> str:
    """The text of a schema for a log: every column that can tell something is a field; those left
    out are named in comments at the end.

    Raises:
        DataError: an unreadable log, a column that is not there, a label that is not 0 or 1 or has
            one class, or no column left for a field.
    """
    table = read_table(path)
    frame = table.frame
    beside = [name for name in (label, weight, group, time) if name is not None]
    require_columns(table, [*beside, *drop])
    if label_array(frame[label], "click", table).std() == 0:
        raise DataError(f"{path}: column {label!r} has one class, both 0 and 1 are needed")
    fields: dict[str, Field] = {}
    seen: dict[str, str] = {}
    left_out: list[str] = []
    for name in frame.columns:
        if name in beside:
            continue
        if name in drop:
            left_out.append(f"{_shown(name)}: dropped as asked")
            continue
        column = _Seen(plain(frame[name], table))
        useless = column.useless()
        if useless:
            left_out.append(f"{_shown(name)}: {useless}")
        else:
            fields[name], reason = column.field()
            seen[name] = f"{column.summary()}; {reason}"
    if not fields:
        raise DataError(f"{path}: no column is left for a field ({'; '.join(left_out) or 'none'})")
    schema = Schema(label=label, weight=weight, group=group, time=time, fields=fields)
    head, *blocks = schema.dumps().strip("\n").split("\n\n")
    text = [
        f"# Drafted from {_shown(table.data.name)}, {len(frame)} rows. Check each kind and role.",
        head,
        *(f"\n# {seen[n]}\n{block}" for n, block in zip(fields, blocks, strict=True)),
        *(["", "# Left out:"] if left_out else []),
        *(f"#   {line}" for line in left_out),
    ]
    return "\n".join(text) + "\n"


def write_draft(
    path: Path | Data,
    label: str,
    out: Path,
    *,
    drop: Sequence[str] = (),
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
) -> str:
    """Draft a schema into a new file, and return the comments on what was left out.

    Raises:
        DataError: `out` exists or cannot be written, or see `draft_schema`.
    """
    if out.exists():
        raise DataError(f"{out}: exists already; choose another file or remove it")
    text = draft_schema(path, label, drop=drop, weight=weight, group=group, time=time)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise DataError(f"{out}: cannot write there: {reason(error)}") from error
    _, _, left_out = text.partition("\n# Left out:\n")
    return left_out.rstrip("\n")


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


class _Seen:
    # one column, and what its values look like; blank cells are null

    def __init__(self, cells: pl.Series) -> None:
        self._lists = isinstance(cells.dtype, pl.List)
        self._all = cells.replace("", None) if cells.dtype == pl.String else cells
        self._known = self._all.drop_nulls()
        self._words = name_words(cells.name)
        self._distinct = self._known.n_unique()

    def summary(self) -> str:
        missing = self._all.null_count() / len(self._all)
        share = f"{missing:.1%} missing" if missing else "none missing"
        return f"{self._distinct} distinct, {share}"

    def useless(self) -> str | None:
        """Why the column cannot be a field."""
        if self._all.n_unique() == 1:
            return "the same in every row"
        if self._lists:
            return None
        counts = self._known.value_counts()["count"]
        repeated = counts.filter(counts > 1).sum() / len(self._known)
        if self._numbers() is not None and not self._is_named():
            return None  # numbers need not repeat
        if self._separator():
            return None
        if repeated < REPEATED:
            hint = "; if it is the time, name it by --time" if self._is_moment() else ""
            return f"nearly every row has a value of its own ({self._distinct} distinct){hint}"
        if self._is_moment() and self._distinct > 1000:
            return "a time, and the next will be new; name it by --time"
        return None

    def field(self) -> tuple[Field, str]:
        """The field, and why it is of that kind."""
        role: Role = "context" if CANDIDATE.isdisjoint(self._words) else "candidate"
        separator = "|" if self._lists else self._separator()
        if separator is not None:
            parts = self._parts(separator).list.len()
            longest = int(_float(parts.max())) or 1
            width = min(longest, MOST_VALUES, max(2, int(parts.quantile(0.99, "higher") or 1)))
            cut = f", the first {width} of them used" if longest > width else ""
            multivalue = MultivalueField(
                kind="multivalue", role=role, separator=separator, max_values=width
            )
            return multivalue, f"up to {longest} values in a cell{cut}"
        numbers = self._numbers()
        if numbers is None or self._is_named():
            return CategoricalField(kind="categorical", role=role), self._why_named(numbers)
        return self._numeric(numbers, role)

    def _numeric(self, numbers: pl.Series, role: Role) -> tuple[Field, str]:
        low, high = _float(numbers.min()), _float(numbers.max())
        span = f"numbers from {low:g} to {high:g}"
        bins = min(32, len(numbers) // ROWS_PER_BIN)
        if bins >= 8:
            field = NumericField(kind="numeric", role=role, transform="quantile", bins=bins)
            return field, f"{span}, each bin with about as many rows"
        mean, median = _float(numbers.mean()), _float(numbers.median())
        if low >= 0 and mean > HEAVY_TAIL * median:
            return NumericField(
                kind="numeric", role=role, transform="log1p"
            ), f"{span}, a long tail"
        return NumericField(kind="numeric", role=role, transform="standardise"), span

    def _numbers(self) -> pl.Series | None:
        # the known values as numbers, if every one of them is
        if self._known.dtype == pl.Boolean or self._lists:
            return None
        texts = self._known.cast(pl.String).str.strip_chars()
        texts = texts.filter(texts != "")
        numbers = texts.cast(pl.Float64, strict=False)
        codes = texts.str.contains(r"^-?0\d").any()  # 00123 is no number
        if not len(numbers) or numbers.null_count() or codes or not numbers.is_finite().all():
            return None
        return numbers

    def _is_named(self) -> bool:
        # numbers that only tell cases apart, so that half-way between two of them is nothing
        numbers = self._numbers()
        if numbers is None or not (numbers == numbers.floor()).all():
            return False
        return (
            self._distinct <= FEW_NUMBERS
            or not IDENTITY.isdisjoint(self._words)
            or bool((numbers.abs() >= LARGEST_EXACT).any())
        )

    def _why_named(self, numbers: pl.Series | None) -> str:
        if numbers is None:
            return "text" if self._known.dtype == pl.String else str(self._known.dtype).lower()
        few = self._distinct <= FEW_NUMBERS
        return "few whole numbers" if few else "whole numbers that name something"

    def _is_moment(self) -> bool:
        if not MOMENT.isdisjoint(self._words):
            return True
        texts = self._known.head(100).cast(pl.String)
        return bool(texts.str.contains(r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d|$)").all())

    def _separator(self) -> str | None:
        # a separator is one that cuts many cells into few values which come again in others
        if self._lists or self._known.dtype != pl.String or self._is_moment():
            return None
        for mark in "|;,":
            with_mark = self._known.str.contains(mark, literal=True)
            if _float(with_mark.mean()) < SEPARATED:
                continue
            separator = self._spaced(mark, self._known.filter(with_mark))
            values = self._parts(separator).explode().drop_nulls()
            vocabulary = values.n_unique()
            again = vocabulary * 2 <= len(values)
            # prose has commas too, but no small vocabulary between them
            if again and (vocabulary < self._distinct or (mark == "|" and vocabulary < 100)):
                return separator
        return None

    @staticmethod
    def _spaced(mark: str, cells: pl.Series) -> str:
        for separator in (f" {mark} ", f"{mark} "):
            spaced = cells.str.count_matches(separator, literal=True)
            if (spaced == cells.str.count_matches(mark, literal=True)).all():
                return separator
        return mark

    def _parts(self, separator: str) -> pl.Series:
        if self._lists:
            return self._known
        return self._known.str.split(separator).list.eval(pl.element().filter(pl.element() != ""))


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _shown(name: str) -> str:
    # TOML's comments allow no control characters
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")
