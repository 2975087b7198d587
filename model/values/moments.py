"""Points in time: how they are read, and the one text form that they have.

A time without a zone is UTC. A date is the moment at which it begins.

>>> moment_text("2026-11-28T09:30:00+01:00")
'2026-11-28T08:30:00Z'
>>> part_of("28/11/2026 09:30", "weekday", "%d/%m/%Y %H:%M")
6
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

_DATE = r"\d{4}-\d\d-\d\d"
_CLOCK = r"[Tt ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,9}))?"
_ZONE = r" ?(Z|z|UTC|[+-]\d\d(?::?\d\d)?)?"
_ISO = re.compile(rf"({_DATE})(?:{_CLOCK}{_ZONE})?", re.ASCII)
_TIME_OF_DAY = re.compile(r"(\d\d:\d\d:\d\d)\.(\d+)", re.ASCII)
_UNIX = re.compile(r"-?\d+(?:\.\d*)?", re.ASCII)
# a Unix time is in seconds, and from each of these sizes on in a smaller unit
LONGEST = 64  # characters of a moment: those that were read are kept
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))

Part = Literal["minute", "hour", "weekday", "hour_of_week", "day", "month"]
PARTS: Mapping[Part, Callable[[datetime], int]] = {
    "minute": lambda at: at.minute,
    "hour": lambda at: at.hour,
    "weekday": lambda at: at.isoweekday(),
    "hour_of_week": lambda at: at.weekday() * 24 + at.hour,
    "day": lambda at: at.day,
    "month": lambda at: at.month,
}


def moment_text(text: str) -> str:
    """The one form of a text that is an ISO date, a moment or a time of day; any other as it is.

    2026-11-28 09:30:00.500000+02:00 is 2026-11-28T07:30:00.5Z, and midnight is only the date. The
    digits of a fraction count, however many a tool writes.
    """
    found = _ISO.fullmatch(text)
    if found is None:
        clock = _TIME_OF_DAY.fullmatch(text)
        return f"{clock[1]}{_fraction(clock[2])}" if clock else text
    try:
        at = _utc(found)
    except (ValueError, OverflowError):  # the 31st of June, say
        return text
    fraction = _fraction(found[4])
    day = f"{at.year:04}-{at.month:02}-{at.day:02}"
    if not (at.hour or at.minute or at.second or fraction):
        return day
    return f"{day}T{at.hour:02}:{at.minute:02}:{at.second:02}{fraction}Z"


def moment(value: str | int | float, form: str | None = None) -> datetime:
    """The moment, in UTC, that a value is: an ISO text, or a Unix time in seconds, or in milli-,
    micro- or nanoseconds where it is so large; with `form`, a text of that strptime format.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool):
        raise ValueError("a boolean")
    if form is not None:
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        at = datetime.strptime(str(whole).strip(), form)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    if isinstance(value, str):
        text = value.strip()
        if found := _ISO.fullmatch(text):
            return _utc(found)
        if not _UNIX.fullmatch(text):
            raise ValueError("no moment")
        value = float(text)
    unit = next((unit for least, unit in _UNITS if abs(value) >= least), 1)
    try:
        return datetime.fromtimestamp(value / unit, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("no moment") from error


@lru_cache(maxsize=65_536)
def part_of(value: str | int | float, part: Part, form: str | None) -> int:
    """A part of a moment, one of PARTS; `form` as in `moment`.

    Raises:
        ValueError: no moment.
    """
    if isinstance(value, str) and len(value) > LONGEST:
        raise ValueError("too long for a moment")
    return PARTS[part](moment(value, form))


def _utc(found: re.Match[str]) -> datetime:
    # without the fraction of its second, of which a datetime keeps six digits only
    date, minutes, seconds, _, zone = found.groups()
    at = datetime.fromisoformat(f"{date}T{minutes or '00:00'}{seconds or ':00'}+00:00")
    if zone and zone[0] in "+-":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        at = at - away if zone[0] == "+" else at + away
    return at


def _fraction(digits: str | None) -> str:
    kept = (digits or "").rstrip("0")
    return f".{kept}" if kept else ""
