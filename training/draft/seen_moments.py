"""Whether the values of a column are points in time, and in what form they are written."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from model.values.moments import Part, moment
from training.draft.row_order import scattered

NAMES = frozenset({
    "at", "created", "date", "datetime", "day", "dt", "epoch", "moment", "time", "timestamp", "ts",
    "unix", "when",
})  # fmt: skip

FIRST_YEAR, LAST_YEAR = 1990, 2060
UNIX = (1.1e9, 2.2e9)  # seconds: from 2004 to 2039
UNIX_BY_NAME = (6.4e8, 2.2e9)  # and where the name says that it is a time, from 1990 on
UNITS = (1.0, 1e3, 1e6, 1e9)  # of Unix times, in parts of a second
LONGEST_LOG = timedelta(days=6 * 365)  # more, and numbers without a name of time are no times
SHORTEST_CODE = timedelta(days=3 * 365)  # yymmddhh of a longer time is a number by chance
A_WEEK = timedelta(days=7)
FEW_CODES = 20  # so many ids of eight digits and more, by chance, are never all times
LOOKED_AT = 20_000  # distinct values that are read one by one
SCATTERED = 0.2  # of how far apart chance would put the rows of one value
AGAIN = 3.0  # times as many repetitions as a clock would have
ROWS_PER_ID = 8  # of an id whose name says time, on average, where one has UNEVEN times as many
UNEVEN = 4
MOST_OF_A_REQUEST = 50  # rows that a time has on average, in a log of requests
ODD = 0.05  # the largest share of the rows that stands for null

_DATES = {
    "%Y/%m/%d": r"\d{4}/\d\d?/\d\d?", "%Y.%m.%d": r"\d{4}\.\d\d?\.\d\d?",
    "%d/%m/%Y": r"\d\d?/\d\d?/\d{4}", "%m/%d/%Y": r"\d\d?/\d\d?/\d{4}",
    "%d.%m.%Y": r"\d\d?\.\d\d?\.\d{4}", "%d-%m-%Y": r"\d\d?-\d\d?-\d{4}",
    "%m-%d-%Y": r"\d\d?-\d\d?-\d{4}", "%d/%m/%y": r"\d\d?/\d\d?/\d\d",
    "%m/%d/%y": r"\d\d?/\d\d?/\d\d", "%d-%b-%Y": r"\d\d?-[A-Za-z]{3}-\d{4}",
    "%d %b %Y": r"\d\d? [A-Za-z]{3} \d{4}", "%b %d, %Y": r"[A-Za-z]{3} \d\d?, \d{4}",
    "%d-%b-%y": r"\d\d?-[A-Za-z]{3}-\d\d", "%d%b%Y": r"\d\d[A-Za-z]{3}\d{4}",
    "%d %B %Y": r"\d\d? [A-Za-z]{3,9} \d{4}", "%B %d, %Y": r"[A-Za-z]{3,9} \d\d?, \d{4}",
}  # fmt: skip
_CLOCKS = {
    "": "", " %H:%M": r" \d\d?:\d\d", " %H:%M:%S": r" \d\d?:\d\d:\d\d",
    ":%H:%M:%S": r":\d\d:\d\d:\d\d",
    "T%H:%M": r"T\d\d:\d\d", "T%H:%M:%S": r"T\d\d:\d\d:\d\d",
    " %I:%M %p": r" \d\d?:\d\d [AaPp][Mm]", " %I:%M:%S %p": r" \d\d?:\d\d:\d\d [AaPp][Mm]",
}  # fmt: skip
_TEXTS = {
    **{date + clock: d + c for date, d in _DATES.items() for clock, c in _CLOCKS.items()},
    "%d/%b/%Y:%H:%M:%S %z": r"\d\d/[A-Za-z]{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}",
    "%a %b %d %H:%M:%S %Y": r"[A-Za-z]{3} [A-Za-z]{3} [ \d]\d \d\d:\d\d:\d\d \d{4}",
    "%a %b %d %H:%M:%S %z %Y": r"[A-Za-z]{3} [A-Za-z]{3} \d\d \d\d:\d\d:\d\d [+-]\d{4} \d{4}",
    "%a, %d %b %Y %H:%M:%S %z": r"[A-Za-z]{3}, \d\d? [A-Za-z]{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}",
    "%a, %d %b %Y %H:%M:%S GMT": r"[A-Za-z]{3}, \d\d? [A-Za-z]{3} \d{4} \d\d:\d\d:\d\d GMT",
    "%I:%M:%S %p": r"\d\d?:\d\d:\d\d [AaPp][Mm]", "%I:%M %p": r"\d\d?:\d\d [AaPp][Mm]",
    "%Y-%m-%d %H": r"\d{4}-\d\d-\d\d \d\d", "%Y-%m-%dT%H": r"\d{4}-\d\d-\d\dT\d\d",
    "%Y-%m": r"\d{4}-\d\d", "%H:%M:%S": r"\d\d?:\d\d:\d\d", "%H:%M": r"\d\d?:\d\d",
}  # fmt: skip
_DIGITS = {
    "%Y%m%d%H%M%S%f": 17,  # as iPinYou writes milliseconds
    "%Y%m%d%H%M%S": 14, "%Y%m%d%H%M": 12, "%Y%m%d%H": 10, "%Y%m%d": 8, "%y%m%d%H": 8,
    "%y%m%d": 6, "%Y%m": 6,
}  # fmt: skip
_ISO = r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d.*)?"


@dataclass(frozen=True)
class Moments:
    """Times from `low` to `high`, written as `format`, None where it needs none. `clock`: they have
    an hour; `dated`: they have a day. `odd`: texts among them that are none.
    """

    low: datetime
    high: datetime
    hours: int
    weekdays: int
    months: int
    format: str | None
    dated: bool
    odd: tuple[str, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether they are texts of a form of their own, neither numbers nor ISO dates."""
        return self.format is not None and self.format not in _DIGITS

    def parts(self) -> list[Part]:
        """The parts that come again, and that were seen to differ: what a model can learn of."""
        span = self.high - self.low
        found: list[Part] = []
        if self.hours > 1 and (span >= timedelta(days=1) or not self.dated):
            found.append("hour")
        if self.dated and self.weekdays > 1 and span >= A_WEEK:
            found.append("weekday")
        if not found and self.months > 1 and span >= timedelta(days=365):
            found.append("month")
        return found


def is_moment(value: str | int | float) -> bool:
    """Whether a value is a moment by itself, whatever others look like."""
    try:
        moment(value)
    except ValueError:
        return False
    return True


def seen_moments(known: pl.Series, words: Iterable[str], named: bool) -> Moments | None:
    """The times that the known values of a column are; None where they are none.

    `words`: of its name. `named`: its name says that its numbers name something.
    """
    counts = known.alias("value").value_counts(name="rows", sort=True)
    head = [str(value) for value in counts["value"].head(50)]
    by_name = not NAMES.isdisjoint(words)
    best: Moments | None = None
    for form, digits in _forms(head, by_name):
        found = _all(counts, form)
        if found is None or not _likely(found, form, digits, by_name, named, len(counts)):
            continue
        if digits and form is None and _are_ids(known, found, by_name):
            continue
        # 03/04: the reading by which the log is shorter
        if best is None or found.high - found.low < best.high - best.low:
            best = found
        if form is None or "/" not in form:
            break
    return best


def _forms(head: list[str], by_name: bool) -> Iterator[tuple[str | None, bool]]:
    # the forms that most of some values may have, and whether they are digits only
    def share(pattern: str) -> bool:
        return 2 * sum(bool(re.fullmatch(pattern, text)) for text in head) > len(head)

    if share(_ISO):
        yield None, False
    for form, digits in _DIGITS.items():
        if share(rf"\d{{{digits}}}(?:\.0)?") and (digits > 6 or by_name):
            yield form, True
    if share(r"\d{9,19}(?:\.\d*)?") and _is_unix(head, UNIX_BY_NAME if by_name else UNIX):
        yield None, True
    for form, pattern in _TEXTS.items():
        if share(pattern):
            yield form, False


def _is_unix(head: list[str], seconds: tuple[float, float]) -> bool:
    numbers = [float(text) for text in head if re.fullmatch(r"\d+(?:\.\d*)?", text)]
    low, high = seconds
    return any(all(low * u <= one < high * u for one in numbers) for u in UNITS)


def _are_ids(known: pl.Series, found: Moments, by_name: bool) -> bool:
    # whether what could be Unix times comes again far from its first row, more often than a clock
    # would: ids of such a size. Times of whole minutes, or of a unit that is never used, are times
    texts = known.cast(pl.String).str.strip_suffix(".0")
    if texts.str.contains(".", literal=True).any() or scattered(texts) < SCATTERED:
        return False
    values = texts.cast(pl.Int64, strict=False).drop_nulls().unique().to_numpy()
    if not len(values):
        return False
    low, high = int(values.min()), int(values.max())
    if (values % (60 if high < UNIX[1] else 1000) == 0).all():
        return False
    rows, distinct, places = len(texts), len(values), high - low + 1
    by_chance = places * -np.expm1(-rows / places)  # distinct ones of so many places
    if by_name:  # times of requests that were shuffled have about as many rows each
        most = int(texts.value_counts(name="rows")["rows"].to_numpy().max())
        is_uneven = rows >= ROWS_PER_ID * distinct and most * distinct > UNEVEN * rows
        is_often = rows > MOST_OF_A_REQUEST * distinct
        return distinct < 0.8 * by_chance and (is_uneven or is_often)
    again = rows - distinct
    if 10 * again > rows and again > AGAIN * (rows - by_chance):
        return True
    is_short = found.high - found.low < timedelta(days=1)
    return bool(distinct < 0.2 * by_chance or (is_short and 2 * again > rows))


def _all(counts: pl.DataFrame, form: str | None) -> Moments | None:
    rows = counts["rows"].to_list()
    values = counts["value"].to_list()
    some = range(0, len(values), -(-len(values) // LOOKED_AT))
    found, odd = [], []
    for at in some:
        try:
            one = moment(values[at], form)
        except ValueError:
            odd.append(at)
            if len(odd) > 3:
                return None
            continue
        found.append(one)
    if not found or sum(rows[at] for at in odd) > ODD * sum(rows):
        return None
    dated = form is None or "%y" in form.lower()
    if dated and not all(FIRST_YEAR <= one.year <= LAST_YEAR for one in found):
        return None
    clock = form is None or "%H" in form or "%I" in form
    return Moments(
        low=min(found),
        high=max(found),
        hours=len({one.hour for one in found}) if clock else 1,
        weekdays=len({one.weekday() for one in found}),
        months=len({one.month for one in found}),
        format=form,
        dated=dated,
        odd=tuple(str(values[at]) for at in odd),
    )


def _likely(
    found: Moments, form: str | None, digits: bool, by_name: bool, named: bool, distinct: int
) -> bool:
    # whether numbers are times, and not ids or amounts that could be read as some
    if not digits or by_name:
        return True
    span = found.high - found.low
    if distinct < FEW_CODES and (named or distinct < 2):
        return False
    if named and form is None:
        return False
    if form == "%y%m%d%H":
        return span <= SHORTEST_CODE
    return span <= LONGEST_LOG
