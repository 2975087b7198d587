"""One caller's connection: what it may send in its head, how long it may take, and how it ends.
uvicorn has no limit of either, and closes what it has not read yet when it stops.
"""

import asyncio
import select
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Counter
from starlette.responses import Response
from uvicorn.config import Config
from uvicorn.server import ServerState

from service.drain import Drain
from service.http_errors import CODES, problem
from service.one_write import OneWriteProtocol


@dataclass(frozen=True)
class ConnectionRules:
    """What the connections of one worker share.

    `head_bytes`: of a request's line and headers. `seconds`: to send a whole request, and to read
    an answer. `cut`: counts by reason those that were ended before their time.
    """

    head_bytes: int = 16 << 10
    seconds: float = 20.0
    drain: Drain = field(default_factory=lambda: Drain(0))
    cut: Counter | None = None


class Connection(OneWriteProtocol):
    """uvicorn's HTTP protocol by the rules that the app's lifespan leaves in its state."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._rules: ConnectionRules = app_state.get("connection_rules") or ConnectionRules()
        self._refusal: Response | None = None
        self._made = 0.0
        self._began: float | None = None  # when the request that is still coming did
        self._in_head = False
        self._head_bytes = 0
        self._requests = 0
        self._unread: tuple[int, float] | None = None  # of which request, seen since when
        self._last = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._made = self.loop.time()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._rules.head_bytes and not self.transport.is_closing():
                self._refuse("head", self._head_too_large())

    def on_message_begin(self) -> None:
        """See httptools."""
        self._began = self.loop.time()
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See httptools."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._rules.head_bytes:
            self._refusal = self._head_too_large()
            raise ValueError("head too large")  # the parser stops; see send_400_response
        super().on_headers_complete()
        self._in_head = False
        self._requests += 1
        if self._last or self._rules.drain.begun:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """See httptools."""
        self._began = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text
        """Refuse what the parser did not take."""
        if self._refusal is not None:
            self._refuse("head", self._refusal)
        else:
            self._refuse("not_http", problem(400, CODES[400], "this is not an HTTP/1.1 request"))

    def shutdown(self) -> None:
        """Take the request that is here or coming as the last one, or end if there is none."""
        self._last = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        elif self._began is None and not self._readable():
            self.transport.close()

    def _is_idle(self) -> bool:
        # the last answer says so, which a refusal at the socket does not
        return super()._is_idle() and not self._last and not self._rules.drain.begun

    def _readable(self) -> bool:
        # closing a socket with bytes unread resets it, and a request is lost
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _look_later(self) -> None:
        # one timer a connection, not two a request
        self._timer = self.loop.call_later(self._rules.seconds / 4, self._look)

    def _look(self) -> None:
        now, seconds = self.loop.time(), self._rules.seconds
        if self.transport.get_write_buffer_size():
            if self._unread is None or self._unread[0] != self._requests:
                self._unread = (self._requests, now)
            if now - self._unread[1] >= seconds:
                self._count("slow_reader")
                self.transport.abort()  # close() would wait for the caller
                return
        elif self._began is not None and now - self._began >= seconds:
            text = f"the request was not whole after {seconds:g} s"
            self._refuse("slow_request", problem(408, "request_timeout", text))
        elif not self._requests and now - self._made >= self.timeout_keep_alive:
            self.transport.close()
        self._look_later()

    def _head_too_large(self) -> Response:
        text = f"the request's line and headers have more than {self._rules.head_bytes} bytes"
        return problem(431, "head_too_large", text)

    def _refuse(self, reason: str, answer: Response) -> None:
        self._count(reason)
        earlier = self.cycle is not None and not self.cycle.response_complete
        if not earlier or not (self._in_head or self.cycle.response_started):
            lines = [b"%s: %s\r\n" % header for header in answer.raw_headers]
            status = b"HTTP/1.1 %d \r\n" % answer.status_code
            end = b"connection: close\r\n\r\n"
            self.transport.write(b"".join([status, *lines, end, bytes(answer.body)]))
        self._began, self._in_head = None, False
        self.transport.close()

    def _count(self, reason: str) -> None:
        if self._rules.cut is not None:
            self._rules.cut.labels(reason).inc()
