"""Rows of a request as the bytes that they came in, each read when its turn comes."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from model.errors import InputError
from model.values.values import Row
from service.errors import MalformedBody
from service.limits import InputLimits

LONGEST_INTEGER = 400  # digits; a float64 has no room for 309

Rows = list[dict[str, Any]]

DEFAULT_LIMITS = InputLimits()
_rows: msgspec.json.Decoder[Rows] = msgspec.json.Decoder(Rows)


class UnreadRows(Sequence[Row]):
    """Rows as the `parts` of a body that they came in, read when somebody looks at them."""

    def __init__(self, parts: Sequence[Raw | bytes], limits: InputLimits = DEFAULT_LIMITS) -> None:
        self._parts = parts
        self._limits = limits

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, place: Any) -> Any:
        """One row, or a slice of them; raises as `read` does, for one row with its place."""
        if isinstance(place, slice):
            return self.read(range(len(self))[place])
        try:
            return self.read([place])[0]
        except InputError as error:
            error.row = place
            raise

    def raws(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """The bytes of the rows in this range."""
        return [bytes(part) for part in self._parts[start:stop]]

    def read(self, positions: Sequence[int]) -> Sequence[Row]:
        """The rows at these positions.

        Raises:
            MalformedBody: not JSON.
            InputError: not an object of values, or too much at once; `row` counts among those asked
                for.
        """
        parts = [self._parts[position] for position in positions]
        self._limits.check_bytes(parts)
        data = b"[%s]" % b",".join(parts)
        try:
            found = _rows.decode(data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            found = parse(data)
            if seen := _row_faults(found):
                raise min(seen.items())[1] from None
        for place, row in enumerate(found):
            self._limits.check(row, place)
        return found

    def faults(self) -> dict[int, InputError]:
        """Why each row that cannot be read cannot, by its position.

        Raises:
            MalformedBody: not JSON.
        """
        found = {}
        for position in range(len(self)):
            try:
                self.read([position])
            except InputError as error:
                error.row = position
                found[position] = error
        return found

    def at(self, positions: Sequence[int]) -> "UnreadRows":
        """The rows at these positions only, as rows of their own."""
        return type(self)([self._parts[position] for position in positions], self._limits)

    def part(self, start: int, stop: int) -> "UnreadRows":
        """Rows start..stop, as rows of their own."""
        return type(self)(self._parts[start:stop], self._limits)


class RawRows(UnreadRows):
    """Rows that are candidates: most ads are known by their bytes."""


def no_list(key: str, row: int | None) -> InputError:
    """The fault of rows that are no list, or of a `row` that is no object."""
    return InputError("not_a_list_of_objects", f"{key} must be a list of objects", row=row)


def parse(body: bytes) -> Any:
    """JSON, and what else the stdlib's parser takes: see `check_values`.

    Raises:
        MalformedBody: it is neither.
    """
    try:
        return json.loads(body.decode(), parse_int=_integer)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the body is not UTF-8: byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise MalformedBody(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise MalformedBody("the body is not JSON that can be read: nested too deep") from error


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else math.inf


def _row_faults(rows: list[Any]) -> dict[int, InputError]:
    found = {}
    for position, row in enumerate(rows):
        try:
            if not isinstance(row, dict):
                raise no_list("the rows", position)
            check_values(row, position)
        except InputError as error:
            found[position] = error
    return found


def check_values(row: Mapping[str, Any], position: int | None) -> None:
    """Check a parsed row for what the stdlib's parser lets pass and JSON, or UTF-8, does not have.

    Raises:
        InputError: a number that is not finite, or half of a surrogate pair.
    """
    for name, value in row.items():
        waiting = [name, value]
        while waiting:
            part = waiting.pop()
            if isinstance(part, float) and not math.isfinite(part):
                raise InputError(
                    "not_finite",
                    f"field {shown(name)}: a number must be finite",
                    row=position,
                    field=name,
                )
            if isinstance(part, str) and not part.isascii() and _has_surrogate(part):
                raise InputError(
                    "not_unicode",
                    f"field {shown(name)}: half of a surrogate pair is not a character",
                    row=position,
                    field=name,
                )
            if isinstance(part, list):
                waiting += part
            elif isinstance(part, dict):
                waiting += [*part.keys(), *part.values()]


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def shown(name: str) -> str:
    """A caller's key as a message may show it: short, and in quotation marks."""
    return ascii(name if len(name) <= 80 else name[:80] + "...")
