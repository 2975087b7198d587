"""Values of every type, and each form that files and callers write them in."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any
from unicodedata import normalize

import numpy as np
import polars as pl
from hypothesis import strategies as st

LISTS = "[fields.{name}]\nkind = 'multivalue'\nmin_count = 1\nmax_values = 4\nseparator = ','\n"
SPACED = LISTS.replace("','", "', '")
TEXTS = "[fields.{name}]\nkind = 'categorical'\nmin_count = 1\n"
NUMBER = "[fields.{name}]\nkind = 'numeric'\n"
BINS = "[fields.{name}]\nkind = 'numeric'\ntransform = 'quantile'\nbins = 4\n"
HOUR = "[fields.{name}_h]\nkind = 'numeric'\nsource = '{name}'\npart = 'hour'\ntransform = 'none'\n"

Write = Callable[[Any], Any]


@dataclass(frozen=True)
class Kind:
    """Values of one type: how each form writes them, and the fields that may read them."""

    values: st.SearchStrategy[Any]
    dtype: Any
    csv: tuple[Write, ...]
    json: tuple[Write, ...]
    fields: tuple[str, ...]


def plain(value: Any) -> Any:
    return value


def scientific(value: Any) -> Any:
    return f"{Decimal(value):e}"


def as_float(value: Any) -> Any:
    return float(value)


def longest(value: Any) -> Any:
    # a whole number keeps every digit that is written, and a float has no more than these
    return repr(value) if abs(value) >= 2**53 else f"{value:.17g}"


def grouped(marks: str) -> Write:
    """Numbers with these two marks, between thousands and before decimals."""
    return lambda value: f"{value:,.4f}".translate(str.maketrans(",.", marks))


def with_marks(marks: str) -> tuple[str, str]:
    """Fields that read such numbers."""
    said = f'thousands = "{marks[0]}"\ndecimal = "{marks[1]}"\n'
    return NUMBER + said, BINS + said


def zone(hours: Any) -> Any:
    return lambda at: at.astimezone(timezone(timedelta(hours=hours)))


def iso(sep: Any = "T", spec: Any = "auto", hours: Any = 0, end: Any = "") -> Any:
    moved = zone(hours)
    return lambda at: moved(at).isoformat(sep, spec).replace("+00:00", "Z") + end


def fraction(digits: Any) -> Any:
    return lambda at: at.strftime("%Y-%m-%d %H:%M:%S.%f").ljust(20 + digits, "0")


def shortest(value: Any) -> Any:
    return str(np.float32(value))


def postgres(cell: Any) -> Any:
    return "{" + ",".join(f'"{v}"' if " " in v else v for v in cell) + "}"


def numpy_texts(cell: Any) -> Any:
    return "[" + " ".join(map(repr, cell)) + "]"


def numbers_of(cell: Any) -> Any:
    return [float(shortest(value)) for value in cell]


words = st.text("abc xyzé'", min_size=1, max_size=5).map(str.strip).filter(bool)
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp")), max_size=6
) | st.sampled_from(["1e+05", "100000", "0.50", "007", "TRUE", "9.10", "é", "2026-11-28"])
moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
milli = moments.map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))
seconds = moments.map(lambda at: at.replace(microsecond=0)) | st.dates(
    date(1990, 1, 1), date(2100, 1, 1)
).map(lambda day: datetime(day.year, day.month, day.day, tzinfo=UTC))
singles = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.1, 0.2, 0.3]
).map(lambda v: float(np.float32(v)))
doubles = st.floats(-1e18, 1e18) | st.floats(-1e100, 1e100)  # whose squares are finite
scaled = st.integers(-(10**9), 10**9).map(lambda n: Decimal(n).scaleb(-4))
NUMERIC_FIELDS = (TEXTS, NUMBER, BINS)


def word(pair: tuple[str, str], value: bool) -> str:
    """What a log of these two words has for a value."""
    return pair[not value]


BOOLEAN_WORDS = [("TRUE", "FALSE"), ("True", "False"), ("yes", "no"), ("t", "f"), ("Y", "N")]

KINDS = {
    "float32": Kind(
        singles,
        pl.Float32,
        (shortest, lambda v: f"{float(shortest(v))!r}"),
        (lambda v: float(shortest(v)), shortest),
        NUMERIC_FIELDS,
    ),
    "float64": Kind(
        doubles,
        pl.Float64,
        (repr, longest, lambda v: f" {v!r} "),
        (plain, repr),
        NUMERIC_FIELDS,
    ),
    "int64": Kind(
        st.integers(-(2**53), 2**53),
        pl.Int64,
        (str, lambda v: f"{v}.0", scientific),
        (plain, str, as_float),
        NUMERIC_FIELDS,
    ),
    "uint64": Kind(st.integers(2**63, 2**64 - 1), pl.UInt64, (str,), (plain, str), (TEXTS,)),
    "decimal0": Kind(
        st.integers(10**17, 10**17 + 9), pl.Decimal(38, 0), (str,), (plain, str), (TEXTS,)
    ),
    "decimal4": Kind(
        scaled,
        pl.Decimal(38, 4),
        (str, lambda v: str(v).replace("0.", ".", 1) if abs(v) < 1 else str(v), scientific),
        (as_float, str),
        NUMERIC_FIELDS,
    ),
    "spaced": Kind(
        scaled,
        pl.Decimal(38, 4),
        tuple(grouped(f"{space},") for space in " \u00a0\u202f\u2009"),
        (as_float, *(grouped(f"{space},") for space in " \u00a0\u202f\u2009")),
        with_marks(" ,"),
    ),
    "apostrophes": Kind(
        scaled,
        pl.Decimal(38, 4),
        (grouped("'."), grouped("\u2019.")),
        (as_float, grouped("'."), grouped("\u2019.")),
        with_marks("'."),
    ),
    "bool": Kind(
        st.booleans(),
        pl.Boolean,
        tuple(partial(word, pair) for pair in BOOLEAN_WORDS),
        (plain, str, lambda v: str(v).lower()),
        (TEXTS,),
    ),
    "text": Kind(
        texts,
        pl.String,
        (plain, lambda v: f"  {v}\t", lambda v: normalize("NFD", v)),
        (plain, lambda v: f"{v} ", lambda v: normalize("NFD", v)),
        (TEXTS, TEXTS + "as_text = true\n"),
    ),
    "category": Kind(words, pl.Categorical, (plain,), (plain,), (TEXTS,)),
    "naive": Kind(
        seconds.map(lambda at: at.replace(tzinfo=None)),
        pl.Datetime("ms"),
        (str, datetime.isoformat, fraction(6), fraction(9)),
        (datetime.isoformat, lambda at: f"{at.isoformat()}Z"),
        (TEXTS, HOUR),
    ),
    "seconds": Kind(
        seconds,
        pl.Datetime("ns", "Europe/Kyiv"),
        (iso(), iso(" ", hours=2), fraction(6), fraction(9), iso(end="")),
        (iso(), iso(spec="milliseconds"), iso(hours=-5)),
        (TEXTS, HOUR),
    ),
    "milli": Kind(
        milli,
        pl.Datetime("ms", "UTC"),
        (iso(spec="milliseconds"), iso(" ", "microseconds", 2), fraction(9)),
        (iso(), iso(spec="milliseconds")),
        (TEXTS, HOUR),
    ),
    "micro": Kind(moments, pl.Datetime("us", "UTC"), (fraction(6),), (iso(),), (TEXTS, HOUR)),
    "unix": Kind(
        seconds,
        pl.Datetime("us", "UTC"),
        (lambda at: str(int(at.timestamp())), iso()),
        (lambda at: int(at.timestamp()) * 1000, lambda at: str(int(at.timestamp())), iso()),
        (HOUR,),
    ),
    "date": Kind(
        st.dates(date(1900, 1, 1), date(2200, 1, 1)),
        pl.Date,
        (str, lambda day: f"{day} 00:00:00"),
        (str, lambda day: f"{day}T00:00:00.000Z"),
        (TEXTS, HOUR),
    ),
    "time": Kind(
        st.times(),
        pl.Time,
        (lambda at: at.strftime("%H:%M:%S.%f000"),),
        (time.isoformat,),
        (TEXTS,),
    ),
    "texts": Kind(
        st.lists(words, min_size=1, max_size=4),
        pl.List(pl.String),
        (json.dumps, repr, postgres, numpy_texts, ",".join, ", ".join),
        (plain, ",".join, json.dumps),
        (LISTS, SPACED),
    ),
    "singles": Kind(
        st.lists(singles, min_size=1, max_size=4),
        pl.List(pl.Float32),
        (lambda cell: f"[{' '.join(map(shortest, cell))}]", lambda cell: str(numbers_of(cell))),
        (numbers_of, lambda cell: list(map(shortest, cell))),
        (LISTS,),
    ),
    "ints": Kind(
        st.lists(st.integers(-9, 10**18), min_size=1, max_size=4),
        pl.List(pl.Int64),
        (str, lambda cell: ",".join(map(str, cell))),
        (plain, lambda cell: ",".join(map(str, cell))),
        (LISTS,),
    ),
}
