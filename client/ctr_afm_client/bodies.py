"""A call's rows as the JSON that is sent, or the plain error that says which of them cannot be."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ctr_afm_client.errors import InvalidCall

Row = Mapping[str, Any]


def body_of(rows: Sequence[Row], context: Row | None, **options: Any) -> bytes:
    """The body of a request for N rows: candidates of a `context`, or complete by themselves.

    Raises:
        InvalidCall: the rows are no list of dictionaries, or a value has no form in JSON.
    """
    if isinstance(rows, Mapping | str) or not isinstance(rows, Sequence):
        kind = type(rows).__name__
        raise InvalidCall(f"rows must be a list of dictionaries, not one {kind}")
    if context is None:
        asked: dict[str, Any] = {"instances": list(rows)}
    else:
        asked = {"context": context, "candidates": list(rows)}
    try:
        return _json({**asked, **options})
    except (TypeError, ValueError, RecursionError) as error:
        raise _fault(rows, context, options, str(error)) from None


def seconds_of(timeout_ms: Any) -> float:
    """A deadline in seconds.

    Raises:
        InvalidCall: no number of milliseconds above 0.
    """
    number = isinstance(timeout_ms, int | float) and not isinstance(timeout_ms, bool)
    if not number or not 0 < timeout_ms < math.inf:
        raise InvalidCall(
            f"timeout_ms must be a number of milliseconds above 0, not {timeout_ms!r}"
        )
    return float(timeout_ms) / 1000


def _json(value: Any) -> bytes:
    text = json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
    )
    return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def _fault(
    rows: Sequence[Row], context: Row | None, options: Mapping[str, Any], said: str
) -> InvalidCall:
    # which value it was: only looked for where there is one
    places: list[tuple[int | None, Any]] = [*enumerate(rows), (None, context or {})]
    for place, row in places:
        where = "context" if place is None else f"row {place}"
        if not isinstance(row, Mapping):
            kind = type(row).__name__
            return InvalidCall(f"{where} must be a dictionary, not a {kind}", row=place)
        for name, value in row.items():
            if not isinstance(name, str):
                return InvalidCall(f"{where}: the name {name!r} must be a string", row=place)
            if fault := _refused(name, value):
                return InvalidCall(f"{where}, field {name!r}: {fault}", row=place, field=name)
    for name, value in options.items():
        if fault := _refused(name, value):
            return InvalidCall(f"{name}: {fault}", field=name)
    return InvalidCall(said)


def _refused(name: str, value: Any) -> str | None:
    try:
        _json({name: value})
    except UnicodeEncodeError:
        return "half of a surrogate pair is not a character"
    except RecursionError:
        return "it is nested too deep"
    except (TypeError, ValueError) as error:
        return "a number must be finite" if "Out of range" in str(error) else str(error)
    return None
