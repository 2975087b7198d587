"""Request bodies: raw bytes to rows. No model per value: the encoder checks each, and once.

msgspec reads what is well-formed; only what it refuses is read again by the stdlib's parser, which
takes more, to say what is wrong: broken JSON (400) or a value that no field can hold (422).
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from model.errors import InputError
from model.values import Row
from service.errors import MalformedBody, TooManyRows
from service.input_limits import InputLimits

DEFAULT_TOP = 20
LONGEST_INTEGER = 400  # digits; a float64 has no room for 309

Rows = list[dict[str, Any]]
LONGEST_TIMEOUT_MS = 86_400_000
Timeout = Annotated[float, msgspec.Meta(gt=0, le=LONGEST_TIMEOUT_MS)] | None
Top = Annotated[int, msgspec.Meta(ge=0)] | None


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    instances: Rows | UnsetType = UNSET
    context: dict[str, Any] | UnsetType = UNSET
    candidates: list[msgspec.Raw] | UnsetType = UNSET  # most ads are known by their bytes
    timeout_ms: Timeout = None
    strict: bool = True


class _ExplainBody(_Body, forbid_unknown_fields=True):
    top: Top = DEFAULT_TOP


DEFAULT_LIMITS = InputLimits()


class RawRows(Sequence[Row]):
    """Rows as the bytes that they came in, `raws`, read when somebody looks at them."""

    def __init__(self, raws: list[bytes], limits: InputLimits = DEFAULT_LIMITS) -> None:
        self.raws = raws
        self._limits = limits

    def __len__(self) -> int:
        return len(self.raws)

    def __getitem__(self, place: Any) -> Any:
        """One row, or a slice of them; raises as `read` does, for one row with its place."""
        if isinstance(place, slice):
            return self.read(range(len(self))[place])
        try:
            return self.read([place])[0]
        except InputError as error:
            error.row = place
            raise

    def read(self, positions: Sequence[int]) -> Sequence[Row]:
        """The rows at these positions.

        Raises:
            MalformedBody: not JSON.
            InputError: not an object of values; `row` counts among those asked for.
        """
        data = b"[%s]" % b",".join([self.raws[position] for position in positions])
        try:
            found = _rows.decode(data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            found = _parse(data)
            if seen := _row_faults("candidates", found):
                raise min(seen.items())[1] from None
        for place, row in enumerate(found):
            self._limits.check(row, place)
        return found

    def faults(self) -> dict[int, InputError]:
        """Those that cannot be read, by position.

        Raises:
            MalformedBody: not JSON.
        """
        found = {}
        for position, raw in enumerate(self.raws):
            try:
                self._limits.check(_row.decode(raw), position)
            except InputError as error:
                found[position] = error
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                for fault in _row_faults("candidates", [_parse(raw)]).values():
                    fault.row = position
                    found[position] = fault
        return found

    def at(self, positions: Sequence[int]) -> "RawRows":
        """The rows at these positions alone."""
        return RawRows([self.raws[position] for position in positions], self._limits)


_rows: msgspec.json.Decoder[Rows] = msgspec.json.Decoder(Rows)
_row: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


NO_FAULTS: Mapping[int, InputError] = {}


class Asked(msgspec.Struct, frozen=True):
    """B `rows` to score, each with `context` behind it; both request forms come to this.

    `timeout_ms`: None for none. `top`: pairs an explained row, None for all. `strict`: whether one
    row that cannot be scored fails them all. `faults`: rows that could not be read, by position, of
    a request that is not strict; what stands for them in `rows` means nothing.
    """

    context: Row
    rows: Sequence[Row]
    timeout_ms: float | None = None
    top: int | None = DEFAULT_TOP
    strict: bool = True
    faults: Mapping[int, InputError] = NO_FAULTS


class PayloadDecoder:
    """Decodes the bodies of one route; `most_rows` and `limits` are what it takes."""

    def __init__(
        self, most_rows: int, limits: InputLimits = DEFAULT_LIMITS, *, explain: bool = False
    ) -> None:
        self._most_rows = most_rows
        self._limits = limits
        self._kind = _ExplainBody if explain else _Body
        self._decoder: msgspec.json.Decoder[_Body] = msgspec.json.Decoder(self._kind)

    def decode(self, body: bytes) -> Asked:
        """A body as rows.

        Raises:
            MalformedBody: not JSON.
            InputError: JSON that is not a request; names row and field where it can.
            TooManyRows: more than the limit.
        """
        faults = dict[int, InputError]()
        try:
            read = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            read = self._second_reading(body, faults)
            if faults and read.candidates is not UNSET:  # the good ones go the way of all others
                read.candidates = [msgspec.Raw(json.dumps(row).encode()) for row in read.candidates]
        context, rows = _form(read)
        if len(rows) > self._most_rows:
            raise TooManyRows(f"{len(rows)} rows: at most {self._most_rows} in one request")
        if context:
            self._limits.check(context, None)
        if isinstance(rows[0], msgspec.Raw):
            raws = [bytes(raw) for raw in rows]
            rows = RawRows(raws, self._limits)
        else:
            self._check_rows(rows, None if read.strict else faults)
        top = read.top if isinstance(read, _ExplainBody) else DEFAULT_TOP
        return Asked(context, rows, read.timeout_ms, top, read.strict, faults)

    def _check_rows(self, rows: Sequence[Row], faults: dict[int, InputError] | None) -> None:
        # raises where there are no `faults` to note it in
        for position, row in enumerate(rows):
            if faults and position in faults:
                continue
            try:
                self._limits.check(row, position)
            except InputError as error:
                if faults is None:
                    raise
                faults[position] = error

    def _second_reading(self, body: bytes, faults: dict[int, InputError] | None = None) -> _Body:
        # the body, or what is wrong with it; of one that is not strict, its rows' go into `faults`
        found = _parse(body)
        if not isinstance(found, dict):
            raise InputError("not_an_object", "the body must be a JSON object")
        allowed = self._kind.__struct_fields__
        for key in found:
            if key not in allowed:
                raise InputError(
                    "unknown_key", f"{_shown(key)} is not a key here; known: {', '.join(allowed)}"
                )
        for key in ("instances", "candidates"):
            if key in found:
                _check_list(key, found[key])
                seen = _row_faults(key, found[key])
                if seen and (faults is None or found.get("strict") is not False):
                    raise min(seen.items())[1]
                if faults is not None:
                    faults.update(seen)
        if "context" in found:
            if not isinstance(found["context"], dict):
                raise InputError("context_not_an_object", "context must be an object")
            _check_values(found["context"], None)
        for key, kind, wanted in _OPTIONS:
            try:
                if key in found:
                    found[key] = msgspec.convert(found[key], kind)
            except (msgspec.ValidationError, OverflowError, UnicodeError):
                raise InputError(f"bad_{key}", f"{key} must be {wanted}") from None
        return self._kind(**found)


_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("timeout_ms", Timeout, f"a number above 0 and up to {LONGEST_TIMEOUT_MS}, or null"),
    ("strict", bool, "true or false"),
    ("top", Top, "a whole number of at least 0, or null for all pairs"),
)


def _form(read: _Body) -> tuple[Row, Sequence[Any]]:
    instances, context, candidates = read.instances, read.context, read.candidates
    if instances is not UNSET:
        if context is not UNSET or candidates is not UNSET:
            raise InputError("both_forms", "either instances, or context with candidates, not both")
        if not instances:
            raise InputError("empty_instances", "instances has no row")
        return {}, instances
    if candidates is UNSET:
        if context is UNSET:
            raise InputError("no_form", "neither instances nor context with candidates is there")
        raise InputError("no_candidates", "context is there without candidates")
    if context is UNSET:
        raise InputError("no_context", "candidates are there without a context")
    if not candidates:
        raise InputError("empty_candidates", "candidates has no row")
    return context, candidates


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


def _check_list(key: str, rows: Any) -> None:
    if not isinstance(rows, list):
        raise InputError("not_a_list_of_objects", f"{key} must be a list of objects")


def _row_faults(key: str, rows: list[Any]) -> dict[int, InputError]:
    found = {}
    for position, row in enumerate(rows):
        try:
            if not isinstance(row, dict):
                raise InputError(
                    "not_a_list_of_objects", f"{key} must be a list of objects", row=position
                )
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
