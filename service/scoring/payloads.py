"""Request bodies: raw bytes to rows. No model per value: the encoder checks each, and once.

A body is only split into its parts; the rows are read a slice at a time when their turn comes, so
that a large body holds nobody up and takes little more memory than its bytes. msgspec reads what is
well-formed; only a slice that it refuses is read again by the stdlib's parser, which takes more, to
say what is wrong: broken JSON (400) or a value that no field can hold (422).
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw, UnsetType

from model.errors import InputError
from model.values.values import Row
from service.errors import MalformedBody, TooManyRows
from service.limits import InputLimits
from service.scoring.unread_rows import (
    DEFAULT_LIMITS,
    RawRows,
    UnreadRows,
    check_values,
    no_list,
    parse,
    shown,
)

DEFAULT_TOP = 20
MANY_COMMAS = (
    100_000  # rows as `Raw`s are looked at before they are made: they are larger than a `1,`
)
MOST_OBJECTS_A_ROW = 20  # objects that a row may have, on the average, in a body of so many values

LONGEST_TIMEOUT_MS = 86_400_000
Timeout = Annotated[float, msgspec.Meta(gt=0, le=LONGEST_TIMEOUT_MS)] | None
Top = Annotated[int, msgspec.Meta(ge=0)] | None


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    instances: Raw | UnsetType = UNSET
    context: Raw | UnsetType = UNSET
    candidates: Raw | UnsetType = UNSET
    bid_request: Raw | UnsetType = UNSET
    timeout_ms: Timeout = None
    strict: bool = True


class _ExplainBody(_Body, forbid_unknown_fields=True):
    top: Top = DEFAULT_TOP


class _WhatIfBody(_Body, forbid_unknown_fields=True):
    row: Annotated[int, msgspec.Meta(ge=0)] = 0
    field: str | None = None


class _BidRequest(msgspec.Struct):
    imp: Raw | UnsetType = UNSET


class _Object(msgspec.Struct, gc=False):
    """Any object, of which nothing is kept."""


_row: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_anything: msgspec.json.Decoder[Raw] = msgspec.json.Decoder(Raw)
_list: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])
_bid_request: msgspec.json.Decoder[_BidRequest] = msgspec.json.Decoder(_BidRequest)
_objects: msgspec.json.Decoder[list[_Object]] = msgspec.json.Decoder(list[_Object])


class ScoringRequest(msgspec.Struct, frozen=True):
    """B `rows` to score, each with `context` behind it; both request forms come to this.

    `timeout_ms`: None for none. `top`: pairs an explained row, None for all. `strict`: whether one
    row that cannot be scored fails them all.
    """

    context: Row
    rows: Sequence[Row]
    timeout_ms: float | None = None
    top: int | None = DEFAULT_TOP
    strict: bool = True


class WhatIfScoringRequest(ScoringRequest, frozen=True, kw_only=True):
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

    def decode(self, body: bytes) -> ScoringRequest:
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
        context: Row = {}
        if read.bid_request is not UNSET:
            context = self._context(_original(read.bid_request, body, masked), "bid_request")
            if read.candidates is UNSET:
                read.candidates = _impressions(read.bid_request)
        if read.context is not UNSET:
            given = self._context(_original(read.context, body, masked), "context")
            context = {**context, **given} if context else given
        parts = self._rows(key, getattr(read, key), body)
        if masked is not body:
            parts = [_original(part, body, masked) for part in parts]
        kind = UnreadRows if key == "instances" else RawRows
        top = read.top if isinstance(read, _ExplainBody) else DEFAULT_TOP
        asked = context, kind(parts, self._limits), read.timeout_ms, top, read.strict
        if isinstance(read, _WhatIfBody):
            return WhatIfScoringRequest(*asked, row=read.row, field=read.field)
        return ScoringRequest(*asked)

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
            text = f"{shown(found[1])} is not a key here; known: {known}"
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

    def _context(self, raw: Raw | bytes, key: str) -> Row:
        self._limits.check_bytes([raw], context=True)
        try:
            found: Any = _row.decode(raw)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            found = parse(bytes(raw))
            if not isinstance(found, dict):
                raise InputError("context_not_an_object", f"{key} must be an object") from None
            check_values(found, None)
        self._limits.check(found, None)
        return found  # type: ignore[no-any-return]  # a dict, whoever parsed it

    def _rows(self, key: str, rows: Raw, body: bytes) -> Sequence[Raw | bytes]:
        most = self._most_rows
        try:
            if len(body) > 2 * MANY_COMMAS and body.count(b",") > MANY_COMMAS:
                if body.count(b"{") > MOST_OBJECTS_A_ROW * most:
                    raise TooManyRows(f"far more objects than {most} rows")
                _objects.decode(rows)
            found = _list.decode(rows)
        except msgspec.ValidationError as error:
            place = re.search(r"\$\[(\d+)\]", str(error))
            raise no_list(key, int(place[1]) if place else None) from None
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
        if not (context is candidates is read.bid_request is UNSET):
            raise InputError("both_forms", "either instances, or context with candidates, not both")
        return "instances"
    if read.bid_request is not UNSET:
        return "candidates"
    if candidates is UNSET:
        if context is UNSET:
            raise InputError("no_form", "neither instances nor context with candidates is there")
        raise InputError("no_candidates", "context is there without candidates")
    if context is UNSET:
        raise InputError("no_context", "candidates are there without a context")
    return "candidates"


def _impressions(bid_request: Raw) -> Raw:
    # what a bid request without candidates beside it asks for
    found = _bid_request.decode(bid_request).imp
    if found is UNSET:
        raise InputError("no_candidates", "bid_request has no imp, and there are no candidates")
    return found


def _original(part: Raw | bytes, body: bytes, masked: bytes) -> Raw | bytes:
    # what stands in `body` where this part of `masked` does
    if masked is body:
        return part
    begin, at = (np.frombuffer(one, np.uint8).ctypes.data for one in (masked, part))
    size = len(part)
    return body[at - begin : at - begin + size]
