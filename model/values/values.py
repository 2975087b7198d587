"""What a raw value is, and the one text form it has on both sides.

Training reads values from files of any kind and serving from JSON: both come here, so that one
value has one meaning. docs/values.md has the rules as a table.

>>> canonical(1.50), canonical(True), number("1e3"), members("a|b", "|")
('1.5', 'true', 1000.0, ['a', 'b'])
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any
from unicodedata import normalize

from model.values.moments import moment_text

Scalar = str | int | float | bool | None
Value = Scalar | Sequence[Scalar]
Row = Mapping[str, Value]
Column = Sequence[
    Any
]  # of Value; Any, since it comes from JSON or a file and is checked when encoded

# What tools write for true and false, in any case. Letters mean it where a field has nothing but
# such words.
TRUTHS = {"true": True, "yes": True, "false": False, "no": False}
LETTERS = {"t": True, "y": True, "f": False, "n": False}
_CASES = {
    "".join(letters): truth
    for word, truth in (TRUTHS | LETTERS).items()
    for letters in product(*((c, c.upper()) for c in word))
}

# A number as JSON, or a tool that leaves out the zero, writes it. 007 is a code, and so is 12e5: a
# tool that writes an exponent writes one digit before the point.
_NUMBER = re.compile(
    r"(-?)(?:(0|[1-9]\d*)(?:\.(\d*))?|()\.(\d+)|(\d)(?:\.(\d*))?[eE]([+-]?\d{1,3}))", re.ASCII
)
NUMERIC = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"  # what a numeric field takes
_NUMERIC = re.compile(NUMERIC)
# between thousands: every space that tools write there, and the apostrophe of a typesetter too
SPACES, APOSTROPHES = " \u00a0\u202f\u2009", "'\u2019"
_EXACT_DIGITS = 15  # of any number, that float64 gives back
_STARTS = frozenset("-.0123456789")
_QUOTED = r"""\s*(?:"((?:[^"\\]|\\.|"")*)"(?:\s*,|\s+|$)"""
_ITEMS = {
    # as Python, numpy and DuckDB write a list
    "[]": re.compile(
        rf"""{_QUOTED}|'((?:[^'\\]|\\.)*)'(?:\s*,|\s+|$)|([^\s,"'][^,]*)(?:,|$))""", re.DOTALL
    ),
    # and as PostgreSQL does, where an apostrophe is a letter
    "{}": re.compile(rf"""{_QUOTED}|(\0)|([^\s,"][^,]*)(?:,|$))""", re.DOTALL),
}
_NO_ITEM = frozenset({"null", "none", "nan"})


def canonical(value: str | int | float) -> str:
    """The one text form of a value, whatever file or request it came from.

    A number is its digits without an exponent or zeros that say nothing: 21, 21.0, "21" and
    "2.1e+01" are "21"; .5 and "0.50" are "0.5". Whole numbers keep every digit, others those that
    float64 needs. Booleans in any case are "true" and "false".
    A moment is UTC (see `moment_text`). Text is in Unicode's form NFC without blanks around it.
    """
    if value.__class__ is int:
        return str(value)
    if isinstance(value, str):
        text = plain_text(value)
        first = text[:1]
        if first in _STARTS:
            return _number_text(text) or moment_text(text)
        lower = text.lower() if first in "tTfF" else ""
        return lower if lower in ("true", "false") else text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e16:
            return str(int(value))
        text = float.__repr__(value)  # the shortest decimal that gives it back
        return _number_text(text) or text
    return str(value)


def plain_text(text: str) -> str:
    """A text without blanks around it, in Unicode's form NFC."""
    text = text.strip()
    return text if text.isascii() else normalize("NFC", text)


def number(value: str | int | float) -> float | int | None:
    """The number that a value of a numeric field is; a text may have blanks around it. None where
    it is no number, as a boolean is none; infinite where float64 has no room for it.
    """
    if isinstance(value, str):
        text = value.strip()
        return float(text) if _NUMERIC.fullmatch(text) else None
    return None if isinstance(value, bool) else value


def truths(texts: Collection[str]) -> dict[str, bool]:
    """Those of a field's different texts that say true or false, and what they say."""
    letters = all(text in _CASES for text in texts)
    return {
        text: truth
        for text, truth in _CASES.items()
        if (letters or len(text) > 1) and text in texts
    }


def members(value: Any, separator: str) -> list[Any]:
    """The values of a multi-valued cell: JSON has a list; a text has a separator, with or without
    blanks beside it, or is a list as tools write it: ["a", "b"], ['a' 'b'], {a,b}. A null or an
    empty text within is no value.
    """
    if isinstance(value, str):
        text = value.strip()
        listed = _listed(text) if text[:1] in ("[", "{") else None
        value = text.split(separator.strip() or separator) if listed is None else listed
    if isinstance(value, list | tuple):
        return [
            part
            for part in value
            if part is not None and part != "" and not (part.__class__ is str and part.isspace())
        ]
    return [] if value is None else [value]


@dataclass(frozen=True)
class Reading:
    """How one field of the schema reads its values. `as_text`: a text stays as it is written, so
    that 9.10 is not 9.1. `null_values`: what stands for null, in any form of it. `separator`: of a
    multi-valued field. `thousands` and `decimal`: the marks in a text that is a number; a space
    stands for any of SPACES, an apostrophe for any of APOSTROPHES.
    """

    as_text: bool = False
    null_values: tuple[str, ...] = ()
    separator: str = "|"
    thousands: str = ""
    decimal: str = "."

    @cached_property
    def nulls(self) -> frozenset[str]:
        """The text forms that are null; the empty one is, wherever it stands."""
        form = plain_text if self.as_text else canonical
        return frozenset({"", *map(form, self.null_values)})

    @cached_property
    def null_numbers(self) -> frozenset[float]:
        """The numbers that are null."""
        found = map(number, self.null_values)
        return frozenset(float(one) for one in found if one is not None)

    def text(self, value: Any) -> str | None:
        """The text form of a scalar; None where it is null."""
        if value is None:
            return None
        text = plain_text(value) if self.as_text and isinstance(value, str) else canonical(value)
        return None if text in self.nulls else text

    @cached_property
    def has_marks(self) -> bool:
        """Whether its numbers are written in another way than JSON's."""
        return bool(self.thousands) or self.decimal != "."

    @property
    def thousands_marks(self) -> str:
        """The characters that `thousands` stands for."""
        return {" ": SPACES, "'": APOSTROPHES}.get(self.thousands, self.thousands)

    @cached_property
    def _marked(self) -> re.Pattern[str]:
        mark, point = f"[{self.thousands_marks}]" if self.thousands else "", re.escape(self.decimal)
        whole = rf"[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|[0-9]+" if mark else "[0-9]+"
        return re.compile(rf"[+-]?(?:{whole})(?:{point}[0-9]*)?")

    def written(self, text: str) -> str:
        """A number with the field's marks as JSON has it; another text as it is."""
        if not self.has_marks or not self._marked.fullmatch(text.strip()):
            return text
        return text.translate(self._unmarked).replace(self.decimal, ".")

    @cached_property
    def _unmarked(self) -> dict[int, None]:
        return dict.fromkeys(map(ord, self.thousands_marks))

    def number(self, value: Any) -> float | int | None:
        """The number that a scalar is; None where it is null.

        Raises:
            ValueError: it is neither.
        """
        if value is None:
            return None
        if isinstance(value, str):
            value = self.written(value)
        found = number(value) if isinstance(value, str | int | float) else None
        if found is None:
            if isinstance(value, str) and canonical(value) in self.nulls:
                return None
            raise ValueError("no number")
        return None if self.null_numbers and found in self.null_numbers else found

    def members(self, value: Any) -> list[Any]:
        """The values of a multi-valued cell that are not null, as they were given."""
        found = members(value, self.separator)
        if not self.null_values:
            return found
        scalars = str, int, float  # what else there is, the encoder refuses
        return [
            part for part in found if not isinstance(part, scalars) or self.text(part) is not None
        ]


PLAIN = Reading()


def _number_text(text: str) -> str | None:
    # the digits of a number written out; None of what is none
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, fraction, _, bare, mantissa, decimals, exponent = found.groups()
    if exponent is None:
        whole, fraction = whole or "0", fraction or bare or ""
    else:
        power = int(exponent)
        if not -324 <= power <= 308:  # float64 has no such number
            return None
        digits = mantissa + (decimals or "")
        if len(digits) > _EXACT_DIGITS and (shortest := float.__repr__(float(text))) != text:
            return _number_text(shortest)
        point = 1 + power
        if point <= 0:
            whole, fraction = "0", "0" * -point + digits
        else:
            whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
        whole = whole.lstrip("0") or "0"
    fraction = fraction.rstrip("0")
    if not fraction:
        return whole if whole == "0" else sign + whole
    written = f"{sign}{whole}.{fraction}"
    if exponent is None and len(whole) + len(fraction) > _EXACT_DIGITS:
        # with a fraction it is what float64 holds, as JSON's numbers are; whole numbers are exact
        shortest = float.__repr__(float(written))
        return written if shortest == written else _number_text(shortest)
    return written


def _listed(text: str) -> list[Any] | None:
    # the values of a list written as text; None where it is no such list
    item_form = _ITEMS.get(text[0] + text[-1])
    if len(text) < 2 or item_form is None:
        return None
    if text[0] == "[":
        try:
            found = json.loads(text, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            pass
        else:
            return found if isinstance(found, list) else None
    inner = text[1:-1].strip()
    numbers = inner.split()
    if len(numbers) > 1 and all(map(_NUMERIC.fullmatch, numbers)):  # as numpy prints them
        return list(numbers)
    items: list[Any] = []
    at = 0
    while at < len(inner):
        item = item_form.match(inner, at)
        if item is None:
            return None
        quoted = item[1].replace('""', '"') if item[1] is not None else item[2]
        if quoted is not None:
            items.append(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        elif (bare := item[3].strip()).lower() not in _NO_ITEM:
            items.append(bare)
        at = item.end()
    return items
