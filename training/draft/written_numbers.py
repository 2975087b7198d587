"""How the numbers of a column of texts are written: with which marks, and beside which other texts,
which then stand for null.

>>> found = written_numbers(pl.Series(["1 234,50", "7,5", "12 000"]))
>>> (found.thousands, found.decimal, found.numbers.to_list()) if found else None
(' ', ',', [1234.5, 7.5, 12000.0])
"""

import re
from dataclasses import dataclass

import polars as pl

from model.values.values import NUMERIC, Reading

# written by tools where nothing was known
NULLS = frozenset({
    "NULL", "null", "Null", "\\N", "NaN", "nan", "NAN", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>",
    "None", "(null)", "(NULL)", "[NULL]", "NaT", "nil", "?", "-", "--", "undefined", "#NV", "#N/D",
    "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NULL!",
})  # fmt: skip

FEW_NUMBERS = 32  # so few whole numbers are names of cases: hours, months, positions
MOSTLY_NUMBERS = 0.95  # the share of numbers from which a few other texts stand for null
FEW_TEXTS = 3
MANY_NUMBERS = 2 / 3  # and that of many numbers beside a text or two that come again

_PLAIN = ("", ".")
_MARKS = (
    *(_PLAIN, (",", "."), (" ", "."), ("'", ".")),
    *(("", ","), (".", ","), (" ", ","), ("'", ",")),
)
_CURRENCY = r"(?:[A-Za-z]{0,3}\p{Sc}|EUR|USD|GBP|CHF|kr|zł|Kč)"
_AMOUNT = r"[+-]?\d[\d.,'’\s]*"
_SIGNED = rf"^[+-]?(?:{_CURRENCY}\s?{_AMOUNT}|{_AMOUNT}\s?(?:{_CURRENCY}|[%‰])\.?)$"
_SIGN = r"([\p{Sc}%‰]|[A-Za-zčł]{2,3})"
# one comma, between digits: a number with decimals, whatever stands beside it
_HALVES = r"^\D*\d[\d\s.'’]*,\d+\D*$"


@dataclass(frozen=True)
class WrittenNumbers:
    """The numbers of a column. `thousands`, `decimal`: the marks, as a numeric field has them;
    `numbers`: of the cells that are such. `odd`: the few other texts, `are_rare` where hardly a
    cell has one.
    """

    thousands: str
    decimal: str
    numbers: pl.Series
    odd: tuple[str, ...]
    are_rare: bool


def written_numbers(texts: pl.Series) -> WrittenNumbers | None:
    """The numbers that texts are, by the marks that most of them fit; None where some are neither
    numbers nor one of few texts, or where they are codes: 00123.
    """
    begins = float(texts.str.contains(r"^[+-]?[.\d]").mean() or 0)  # type: ignore[arg-type]  # of booleans
    if begins < MANY_NUMBERS:
        return None
    counts = texts.value_counts(name="rows")
    values, rows = counts.to_series(0), counts["rows"]
    best: tuple[int, tuple[str, str], pl.Series] | None = None
    for marks in _MARKS:
        fits = _fits(values, rows, marks)
        number = 0 if fits is None else int(rows.filter(fits).sum())
        if fits is not None and number > (best[0] if best else 0):
            best = number, marks, fits
    if best is None:
        return None
    number, (thousands, decimal), fits = best
    if not _are_few(rows, fits):
        return None
    reading = Reading(thousands=thousands, decimal=decimal)
    known, others = values.filter(fits), values.filter(~fits).to_list()
    form = pl.Series([reading.written(text) for text in known]) if reading.has_marks else known
    if form.str.contains(r"^[+-]?0\d").any():
        return None
    is_odd = texts.is_in(others)
    cells = texts.filter(~is_odd) if others else texts
    if reading.has_marks:
        numbers = cells.replace_strict(known, form.cast(pl.Float64), return_dtype=pl.Float64)
    else:
        numbers = cells.cast(pl.Float64)
    odd = tuple(texts.filter(is_odd).unique(maintain_order=True)) if others else ()
    return WrittenNumbers(thousands, decimal, numbers, odd, number >= MOSTLY_NUMBERS * len(texts))


def sign_of(texts: pl.Series) -> str | None:
    """The sign that most texts have before or behind a number: %, a currency; None without one."""
    signed = texts.filter(texts.str.contains(_SIGNED))
    if not len(signed) or len(signed) < MANY_NUMBERS * len(texts):
        return None
    signs = signed.str.extract(_SIGN).drop_nulls()
    return str(signs.mode().sort()[0]) if len(signs) else None


def are_halves(cells: pl.Series) -> bool:
    """Whether the commas of cells stand before decimals, and so separate no values."""
    return float(cells.str.contains(_HALVES).mean() or 0) > MOSTLY_NUMBERS  # type: ignore[arg-type]  # of booleans


def null_texts(cells: pl.Series) -> tuple[str, ...]:
    """The texts in a column that stand for null wherever they do."""
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


def _fits(values: pl.Series, rows: pl.Series, marks: tuple[str, str]) -> pl.Series | None:
    # which values are numbers with these marks; None where the marks are not seen
    if marks == _PLAIN:
        return values.str.contains(f"^(?:{NUMERIC})$")
    thousands, decimal = marks
    seen, point = Reading(thousands=thousands).thousands_marks, re.escape(decimal)
    # beside 1,234 a number without a mark has three digits; others leave it out below 10 000
    most = "{1,3}" if thousands == "," else "+"
    whole = values.str.contains(rf"^[+-]?\d{most}(?:{point}\d+)?$")
    comma = values.str.contains(r"\d,\d+$") & (decimal == ",")
    often = 2 * int(rows.filter(comma).sum()) > int(rows.sum())
    if not thousands:
        return whole if often else None
    grouped = values.str.contains(rf"^[+-]?[1-9]\d{{0,2}}(?:[{seen}]\d{{3}})+(?:{point}\d+)?$")
    if not grouped.any():
        return None
    fits = grouped | whole
    if thousands == "." and not often and not values.str.contains(r"^[+-]?\d+\.\d+\.\d").any():
        return None  # decimals
    if thousands in " '" and _are_codes(values.filter(fits), seen, decimal):
        return None
    return fits


def _are_codes(values: pl.Series, seen: str, decimal: str) -> bool:
    # whether grouped digits are no numbers: 123 456 where all have six, or a list of such as 123
    if values.str.contains(decimal, literal=True).any():
        return False
    short = values.str.contains(rf"^[+-]?\d{{1,2}}[{seen}]").any()
    return not short or values.str.len_chars().n_unique() == 1


def _are_few(rows: pl.Series, fits: pl.Series) -> bool:
    # whether the texts that are no numbers can only stand for null
    others, whole = rows.filter(~fits), int(rows.sum())
    share = 1 - int(others.sum()) / whole
    if share >= MOSTLY_NUMBERS:
        return len(others) <= FEW_TEXTS
    many = int(fits.sum()) > FEW_NUMBERS
    again = len(others) < FEW_TEXTS and bool((others > 1).all())
    return share >= MANY_NUMBERS and many and again
