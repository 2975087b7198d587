"""Request bodies: raw bytes to rows. No model per value: the encoder checks each, and once.

A body is only split into its parts; the rows are read a slice at a time when their turn comes, so
that a large body holds nobody up and takes little more memory than its bytes. msgspec reads what is
well-formed; only a slice that it refuses is read again by the stdlib's parser, which takes more, to
say what is wrong: broken JSON (400) or a value that no field can hold (422).
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw, UnsetType

from model.errors import InputError
from model.values.values import Row
from service.errors import MalformedBody, TooManyRows
from service.limits import InputLimits

DEFAULT_TOP = 20
LONGEST_INTEGER = 400  # digits; a float64 has no room for 309
MANY = 100_000  # rows as `Raw`s are looked at before they are made: they are larger than a `1,`
OBJECTS = 20  # objects that a row may have, on the average, in a body of so many values

Rows = list[dict[str, Any]]
LONGEST_TIMEOUT_MS = 86_400_000
Timeout = Annotated[float, msgspec.Meta(gt=0, le=LONGEST_TIMEOUT_MS)] | None
Top = Annotated[int, msgspec.Meta(ge=0)] | None


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    instances: Raw | UnsetType = UNSET
    context: Raw | UnsetType = UNSET
    candidates: Raw | UnsetType = UNSET
    timeout_ms: Timeout = None
    strict: bool = True


class _ExplainBody(_Body, forbid_unknown_fields=True):
    top: Top = DEFAULT_TOP


class _WhatIfBody(_Body, forbid_unknown_fields=True):
    row: Annotated[int, msgspec.Meta(ge=0)] = 0
    field: str | None = None


class _Object(msgspec.Struct, gc=False):
    """Any object, of which nothing is kept."""


DEFAULT_LIMITS = InputLimits()


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
            found = _parse(data)
            if seen := _row_faults(found):
                raise min(seen.items())[1] from None
        for place, row in enumerate(found):
            self._limits.check(row, place)
        return found

    def faults(self, positions: Sequence[int]) -> dict[int, InputError]:
        """Those of these rows that cannot be read, by position.

        Raises:
            MalformedBody: not JSON.
        """
        found = {}
        for position in positions:
            try:
                self.read([position])
            except InputError as error:
                error.row = position
                found[position] = error
        return found

    def at(self, positions: Sequence[int]) -> "UnreadRows":
        """The rows at these positions alone."""
        return type(self)([self._parts[position] for position in positions], self._limits)


class RawRows(UnreadRows):
    """Rows that are candidates: most ads are known by their bytes."""


_row: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_anything: msgspec.json.Decoder[Raw] = msgspec.json.Decoder(Raw)
_list: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])
_objects: msgspec.json.Decoder[list[_Object]] = msgspec.json.Decoder(list[_Object])
_rows: msgspec.json.Decoder[Rows] = msgspec.json.Decoder(Rows)


class Asked(msgspec.Struct, frozen=True):
    """B `rows` to score, each with `context` behind it; both request forms come to this.

    `timeout_ms`: None for none. `top`: pairs an explained row, None for all. `strict`: whether one
    row that cannot be scored fails them all.
    """

    context: Row
    rows: Sequence[Row]
    timeout_ms: float | None = None
    top: int | None = DEFAULT_TOP
    strict: bool = True


class WhatIfAsked(Asked, frozen=True, kw_only=True):
    """A request, which of its rows is changed, and the field whose values are listed; None for the
    least change of all fields.
    """

    row: int = 0
    field: str | None = None


class PayloadDecoder:
    """Decodes the bodies of one route; `most_rows` and `limits` are what it takes."""

    def __init__(
        self,
        most_rows: int,
        limits: InputLimits = DEFAULT_LIMITS,
        *,
        explain: bool = False,
        what_if: bool = False,
    ) -> None:
        self._most_rows = most_rows
        self._limits = limits
        self._kind = _WhatIfBody if what_if else _ExplainBody if explain else _Body
        self._decoder: msgspec.json.Decoder[_Body] = msgspec.json.Decoder(self._kind)

    def decode(self, body: bytes) -> Asked:
        """A body as rows, which are not read yet.

        Raises:
            MalformedBody: not JSON.
            InputError: JSON that is not a request; names row and field where it can.
            TooManyRows: more than the limit.
        """
        masked = body
        try:
            read = self._split(body)
        except MalformedBody:
            masked = self._masked(body)
            read = self._split(masked)
        key = _form(read)
        context = (
            {} if read.context is UNSET else self._context(_original(read.context, body, masked))
        )
        parts = self._rows(key, getattr(read, key), body)
        if masked is not body:
            parts = [_original(part, body, masked) for part in parts]
        kind = UnreadRows if key == "instances" else RawRows
        top = read.top if isinstance(read, _ExplainBody) else DEFAULT_TOP
        asked = context, kind(parts, self._limits), read.timeout_ms, top, read.strict
        if isinstance(read, _WhatIfBody):
            return WhatIfAsked(*asked, row=read.row, field=read.field)
        return Asked(*asked)

    def _split(self, body: bytes) -> _Body:
        try:
            try:
                return self._decoder.decode(body)
            except msgspec.ValidationError as error:
                _anything.decode(body)  # whose end may not even be JSON
                raise self._no_request(str(error)) from None
        except UnicodeDecodeError as error:
            raise MalformedBody("the body is not UTF-8") from error
        except msgspec.DecodeError as error:
            raise MalformedBody(f"the body is not JSON: {error}") from error
        except RecursionError as error:
            raise MalformedBody("the body is not JSON that can be read: nested too deep") from error

    def _no_request(self, said: str) -> InputError:
        # by the parser's own words; a test has an example of each
        if found := re.search(r"unknown field `(.*)`", said, re.DOTALL):
            known = ", ".join(self._kind.__struct_fields__)
            text = f"{_shown(found[1])} is not a key here; known: {known}"
            return InputError("unknown_key", text)
        if found := re.search(r"at `\$\.(\w+)`$", said):
            return InputError(f"bad_{found[1]}", f"{found[1]} must be {_OPTIONS[found[1]]}")
        return InputError("not_an_object", "the body must be a JSON object")

    def _masked(self, body: bytes) -> bytes:
        # with what only the stdlib's parser takes made good in place: so rows are found, of which
        # one has such a value
        if len(body) > self._limits.masked_bytes:
            return body  # a copy or two would be too much
        for token, other in _MASKS:
            body = body.replace(token, other)
        return body

    def _context(self, raw: Raw | bytes) -> Row:
        self._limits.check_bytes([raw], context=True)
        try:
            found: Any = _row.decode(raw)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            found = _parse(bytes(raw))
            if not isinstance(found, dict):
                raise InputError("context_not_an_object", "context must be an object") from None
            _check_values(found, None)
        self._limits.check(found, None)
        return found  # type: ignore[no-any-return]  # a dict, whoever parsed it

    def _rows(self, key: str, rows: Raw, body: bytes) -> Sequence[Raw | bytes]:
        most = self._most_rows
        try:
            if len(body) > 2 * MANY and body.count(b",") > MANY:
                if body.count(b"{") > OBJECTS * most:
                    raise TooManyRows(f"far more objects than {most} rows")
                _objects.decode(rows)
            found = _list.decode(rows)
        except msgspec.ValidationError as error:
            place = re.search(r"\$\[(\d+)\]", str(error))
            raise _no_list(key, int(place[1]) if place else None) from None
        if not found:
            raise InputError(f"empty_{key}", f"{key} has no row")
        if len(found) > most:
            raise TooManyRows(f"{len(found)} rows: at most {most} in one request")
        return found


# each as long as what it stands for, valid JSON where that may stand, and no option's value
_MASKS = (
    (b"-Infinity", b"-1       "),
    (b"Infinity", b"-1      "),
    (b"NaN", b"-1 "),
    (b"\\ud", b"\\u0"),
    (b"\\uD", b"\\u0"),
)

_OPTIONS = {
    "timeout_ms": f"a number above 0 and up to {LONGEST_TIMEOUT_MS}, or null",
    "strict": "true or false",
    "top": "a whole number of at least 0, or null for all pairs",
    "row": "a whole number of at least 0: the place of a row",
    "field": "the name of a field, or null for all",
}


def _form(read: _Body) -> str:
    # which key has the rows
    instances, context, candidates = read.instances, read.context, read.candidates
    if instances is not UNSET:
        if context is not UNSET or candidates is not UNSET:
            raise InputError("both_forms", "either instances, or context with candidates, not both")
        return "instances"
    if candidates is UNSET:
        if context is UNSET:
            raise InputError("no_form", "neither instances nor context with candidates is there")
        raise InputError("no_candidates", "context is there without candidates")
    if context is UNSET:
        raise InputError("no_context", "candidates are there without a context")
    return "candidates"


def _original(part: Raw | bytes, body: bytes, masked: bytes) -> Raw | bytes:
    # what stands in `body` where this part of `masked` does
    if masked is body:
        return part
    begin, at = (np.frombuffer(one, np.uint8).ctypes.data for one in (masked, part))
    size = len(part)
    return body[at - begin : at - begin + size]


def _no_list(key: str, row: int | None) -> InputError:
    return InputError("not_a_list_of_objects", f"{key} must be a list of objects", row=row)


def _parse(body: bytes) -> Any:
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
                raise _no_list("the rows", position)
            _check_values(row, position)
        except InputError as error:
            found[position] = error
    return found


def _check_values(row: Mapping[str, Any], position: int | None) -> None:
    # what the stdlib's parser lets pass and JSON, or UTF-8, does not have
    for name, value in row.items():
        waiting = [name, value]
        while waiting:
            part = waiting.pop()
            if isinstance(part, float) and not math.isfinite(part):
                raise InputError(
                    "not_finite",
                    f"field {_shown(name)}: a number must be finite",
                    row=position,
                    field=name,
                )
            if isinstance(part, str) and not part.isascii() and _has_surrogate(part):
                raise InputError(
                    "not_unicode",
                    f"field {_shown(name)}: half of a surrogate pair is not a character",
                    row=position,
                    field=name,
                )
            if isinstance(part, list):
                waiting += part
            elif isinstance(part, dict):
                waiting += [*part.keys(), *part.values()]


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 80 else name[:80] + "...")
