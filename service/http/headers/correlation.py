"""What a caller finds its request by again: `x-request-id` and `traceparent`, echoed on its answer
and on every log line of its request.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from structlog.contextvars import bind_contextvars

REQUEST_ID, TRACEPARENT = b"x-request-id", b"traceparent"
_KEYS = {REQUEST_ID: "request_id", TRACEPARENT: "traceparent"}
LOG_KEYS = tuple(_KEYS.values())  # by which log lines have them
_FINE = re.compile(rb"[\x20-\x7e]{1,128}")
_UNPARSED = re.compile(
    rb"\n(%s|%s)[ \t]*:[ \t]*([^\r\n]*)" % (REQUEST_ID, TRACEPARENT), re.IGNORECASE
)

Echo = list[tuple[bytes, bytes]]


def echo_of(headers: Mapping[bytes, bytes]) -> Echo:
    """The headers that are echoed: printable ASCII, and not too long."""
    if REQUEST_ID not in headers and TRACEPARENT not in headers:
        return []
    found = ((name, headers.get(name, b"").strip()) for name in _KEYS)
    return [(name, value) for name, value in found if _FINE.fullmatch(value)]


def echo_of_unparsed(data: bytes) -> Echo:
    """The echoed headers of a request as it was sent."""
    found = _UNPARSED.findall(data, 0, data.find(b"\r\n\r\n"))
    return echo_of({name.lower(): value for name, value in found}) if found else []


def for_log(echo: Echo) -> dict[str, str]:
    """The echoed headers as keys of a log line."""
    return {_KEYS[name]: value.decode() for name, value in echo}


def logging_as(echo: Echo, app: Any) -> Any:
    """An ASGI app whose log lines have what is echoed; each request must have a task of its own."""

    async def bound(
        scope: Any, receive: Any, send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        bind_contextvars(**for_log(echo))
        await app(scope, receive, send)

    return bound
