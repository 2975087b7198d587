"""uvicorn's HTTP protocol as a busy service needs it.

An answer's head and body go in one write: uvicorn sends each by itself, and for a small answer the
second system call, and waking the caller twice, costs more than scoring it. And what an overloaded
worker refuses is refused here, unparsed: else saying no to three requests would cost the fourth.
"""

import asyncio
import re
from time import perf_counter
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from service.scoring.admission import Admission

RECEIVED_AT = "received_at"  # in a request's state: when its first bytes came, by `perf_counter`

HEAD_END = b"\r\n\r\n"
POSTS = (b"POST /predict HTTP/1.1\r\n", b"POST /explain HTTP/1.1\r\n")
# every header that says where a message ends or what becomes of its connection, however written
FRAMING = re.compile(
    rb"[\r\n][ \t]*(content-length|transfer-encoding|connection|expect|upgrade)"
    rb"[ \t]*:[ \t]*([^\r\n]*)",
    re.IGNORECASE,
)


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol over a transport that gathers what one turn of the loop writes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """See asyncio.Protocol."""
        self._gathering = _Gathering(transport, self.loop)
        super().connection_made(self._gathering)  # type: ignore[arg-type]  # as good as one
        self._admission: Admission | None = self.app_state.get("admission")
        self._between = True  # two messages, as far as the bytes have come
        self._received_at = 0.0

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._admission is not None and self._is_idle():
            found = whole_post(data)
            if found is not None and self._admission.refuses_at_the_socket(*found):
                headers = [b"%s: %s\r\n" % header for header in self.server_state.default_headers]
                self._gathering.write_now(self._admission.refusal(headers))
                self.on_response_complete()
                return
        self._received_at = perf_counter()
        super().data_received(data)

    def on_message_begin(self) -> None:
        """See httptools."""
        super().on_message_begin()
        self._between = False
        self.scope["state"][RECEIVED_AT] = self._received_at

    def on_message_complete(self) -> None:
        """See httptools."""
        super().on_message_complete()
        self._between = True

    def _is_idle(self) -> bool:
        answered = self.cycle is None or self.cycle.response_complete
        return self._between and answered and not self.transport.is_closing()


def whole_post(data: bytes) -> tuple[str, int] | None:
    """The path of the scoring request that `data` is, whole and nothing else, and its body's bytes;
    None for anything else, and for all whose end is not beyond doubt.
    """
    if not data.startswith(POSTS):
        return None
    end = data.find(HEAD_END)
    if end < 0:
        return None
    size = None
    for name, value in FRAMING.findall(data, 0, end):
        name, value = name.lower(), value.strip()
        if name == b"content-length" and size is None and value.isdigit() and len(value) < 12:
            size = int(value)
        elif name != b"connection" or value.lower() != b"keep-alive":
            return None
    if size is None or len(data) != end + len(HEAD_END) + size:
        return None
    return ("/predict" if data.startswith(POSTS[0]) else "/explain"), size


class _Gathering:
    # a transport but for `write`; what it does not have is the real one's

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def waits(self) -> bool:
        """Whether something is still to be written."""
        return bool(self._waiting)

    def write(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def write_now(self, data: bytes) -> None:
        self._flush()
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._transport.write(data)
