"""What a raw value is, and the one text form it has on both sides."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Scalar = str | int | float | bool | None
Value = Scalar | Sequence[Scalar]
Row = Mapping[str, Value]
Column = Sequence[
    Any
]  # of Value; Any, since it comes from JSON or a file and is checked when encoded

_WHOLE_NUMBER = re.compile(r"(-?\d+)\.0+")
_BOOLEANS = {"True": "true", "False": "false"}


def canonical(value: str | int | float) -> str:
    """The one text form of a value, whatever file or request it came from.

    A log written by one tool has 21, by another 21.0, and JSON may have either as a number or a
    string: all are "21". Booleans are "true" and "false", also as Python prints them.
    """
    if isinstance(value, str):
        whole = _WHOLE_NUMBER.fullmatch(value) if value.endswith("0") else None
        return whole[1] if whole else _BOOLEANS.get(value, value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def members(value: Any, separator: str) -> list[Any]:
    """The values of a multi-valued cell: JSON has a list, a CSV text with a separator. A null or an
    empty string within is no value.
    """
    if isinstance(value, str):
        return [part for part in value.split(separator) if part]
    if isinstance(value, list | tuple):
        return [part for part in value if part is not None and part != ""]
    return [] if value is None else [value]
