"""A request's deadline in a header, which a gateway can set; the body it cannot."""

import re
from typing import Any, TypeVar

import msgspec

from model.errors import InputError
from service.scoring.payloads import LONGEST_TIMEOUT_MS, ScoringRequest

NAME = b"x-timeout-ms"
Request = TypeVar("Request", bound=ScoringRequest)

_NUMBER = re.compile(rb"\d{1,8}(\.\d{1,9})?")

PARAMETER: dict[str, Any] = {
    "name": NAME.decode(),
    "in": "header",
    "required": False,
    "description": "As `timeout_ms` in the body, for those who cannot write there; of both, the "
    "smaller one counts. It holds for sending the body as well.",
    "schema": {
        "type": "number",
        "format": "double",
        "exclusiveMinimum": 0,
        "maximum": LONGEST_TIMEOUT_MS,
    },
}
"""The header in the OpenAPI document."""


def timeout_ms(headers: list[tuple[bytes, bytes]]) -> float:
    """The smallest of the deadlines that these headers name, in milliseconds; there must be one.

    Raises:
        InputError: a value that is no number of milliseconds.
    """
    return min(_number(value) for name, value in headers if name == NAME)


def applied(asked: Request, milliseconds: float) -> Request:
    """A request with the smaller one of its own deadline and the header's."""
    return msgspec.structs.replace(asked, timeout_ms=smaller(milliseconds, asked.timeout_ms))


def _number(value: bytes) -> float:
    found = float(value) if _NUMBER.fullmatch(value) else 0.0
    if not 0 < found <= LONGEST_TIMEOUT_MS:
        raise InputError(
            "bad_timeout_header",
            f"the header {NAME.decode()} must be a number above 0 and up to {LONGEST_TIMEOUT_MS}, "
            "such as 50 or 12.5",
        )
    return found


def smaller(one: float | None, other: float | None) -> float | None:
    """The smaller one of two deadlines; None is none."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
