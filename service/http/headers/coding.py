"""Large answers as gzip, where the caller's `accept-encoding` lets it.

An explanation of a hundred rows is some megabytes that repeat their keys. Level 1 takes 5 to
10 us a kB and leaves a quarter; zlib's default takes two to three times as long for a tenth less.
"""

import asyncio
import re
import zlib
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_BYTES = 16 << 10  # a smaller answer stays as it is
LEVEL = 1
GZIP = 31  # zlib's window of 32 kB, with gzip's head and end
THREAD_BYTES = 128 << 10  # up to here it takes less than a slice of rows does

Headers = list[tuple[bytes, bytes]]
_PLAIN: Headers = [(b"vary", b"accept-encoding")]
_CODED: Headers = [(b"content-encoding", b"gzip"), *_PLAIN]
_WEIGHT = r"(?:[ \t]*;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?"
_MEMBER = re.compile(r"([!#$%&'*+.^_`|~0-9a-z-]+)" + _WEIGHT)


async def coded(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> tuple[bytes, Headers]:
    """The body of an answer of at least `LEAST_BYTES`, by its request's headers; and the headers
    that the answer has for it.
    """
    accepted = b",".join(value for name, value in headers if name == b"accept-encoding")
    if not takes_gzip(accepted.decode("latin-1")):
        return body, _PLAIN
    if len(body) <= THREAD_BYTES:
        return zlib.compress(body, LEVEL, GZIP), _CODED
    return await asyncio.to_thread(zlib.compress, body, LEVEL, GZIP), _CODED


def takes_gzip(accepted: str) -> bool:
    """Whether an `accept-encoding` takes gzip, and no less than it takes the answer as it is (RFC
    9110, 12.5.3). A member that cannot be read counts as not there.
    """
    found = (_MEMBER.fullmatch(one.strip(" \t")) for one in accepted.lower().split(","))
    weights = {one[1]: float(one[2] or 1) for one in found if one}
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


class Compressed:
    """ASGI middleware: compresses the answers of some `paths`; answers in parts stay plain."""

    def __init__(self, app: ASGIApp, paths: frozenset[str]) -> None:
        self._app = app
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def watched(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                first, start = start, None
                body = message.get("body", b"")
                if not message.get("more_body") and len(body) >= LEAST_BYTES:
                    body, more = await coded(scope["headers"], body)
                    kept = [one for one in first["headers"] if one[0] != b"content-length"]
                    length = (b"content-length", b"%d" % len(body))
                    first = {**first, "headers": [*kept, length, *more]}
                    message = {**message, "body": body}
                await send(first)
            await send(message)

        await self._app(scope, receive, watched)
