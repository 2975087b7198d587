"""One caller's connection: what it may send in its head, how long it may take, and how it ends.
uvicorn has no limit of either, and closes what it has not read yet when it stops.
"""

import asyncio
import select
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from prometheus_client import Counter
from starlette.responses import Response
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from service.http.headers.correlation import echo_of, for_log
from service.http.problems import CODES, problem
from service.http.wire.connection_limit import ConnectionLimit
from service.http.wire.doorway import DoorwayProtocol
from service.http.wire.drain import Drain
from service.http.wire.protocol import GOAWAY
from service.observe.access_log import note_access

NEWCOMER_SECONDS = 0.5  # a worker that stops waits so long for a connection's first request


@dataclass(frozen=True)
class ConnectionRules:
    """What the connections of one worker share.

    `head_bytes`: of a request's line and headers. `seconds`: to send a whole request, and to read
    an answer. `cut`: counts by reason those that were ended before their time. `room`: for them.
    `access_log`: whether what is refused before the app sees it leaves a line.
    """

    head_bytes: int = 16 << 10
    seconds: float = 20.0
    drain: Drain = field(default_factory=lambda: Drain(0))
    cut: Counter | None = None
    room: ConnectionLimit = field(default_factory=ConnectionLimit)
    access_log: bool = False


class _Headers:
    # those of every answer; whether the connection stays is known when it is sent, and no sooner

    def __init__(self, cycle: RequestResponseCycle, stays: list[tuple[bytes, bytes]]) -> None:
        self._cycle = cycle
        self._default = cycle.default_headers
        self._stays = stays

    def __add__(self, others: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        if self._cycle.keep_alive:
            return [*self._default, *self._stays, *others]
        return [*self._default, *others]


class Connection(DoorwayProtocol):
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
        self._moves = 0  # of the last packet: heads begun, and parts of bodies
        self._still_bytes = 0  # since the last of these
        self._requests = 0
        self._unread: tuple[int, float] | None = None  # of which request, seen since when
        self._last = False
        self._timer: asyncio.TimerHandle | None = None
        timeout = b"timeout=%d" % self.timeout_keep_alive
        self._stays = [(b"connection", b"keep-alive"), (b"keep-alive", timeout)]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._made = self.loop.time()
        self._check_timeouts_later()
        self._rules.room.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._timer is not None:
            self._timer.cancel()
        self._rules.room.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        first = self._between  # whether a head that begins in it begins with it
        self._moves = 0
        super().data_received(data)
        if self._began is None or self._deaf:
            return
        if not self._moves or (first and self._in_head and self._moves == 1):
            self._still_bytes += len(data)
        if self._still_bytes > self._rules.head_bytes:
            self._refuse("head", self._head_too_large())

    def on_message_begin(self) -> None:
        """See httptools."""
        super().on_message_begin()
        if self._began is None:
            self._began = self.loop.time()
        self._moves += 1
        self._still_bytes = 0

    def check_head(self, method: bytes, version: str) -> None:
        """See OneWriteProtocol."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._rules.head_bytes:
            self._refusal = self._head_too_large()
        elif version not in ("1.0", "1.1"):
            text = f"this is HTTP/{version}, and the service speaks HTTP/1.1"
            self._refusal = problem(505, "http_version_not_supported", text)
        if self._refusal is not None:
            raise ValueError("refused")  # the parser stops; see send_400_response
        super().check_head(method, version)

    def request_began(self) -> None:
        """See OneWriteProtocol."""
        self._requests += 1
        if self._last or self._rules.drain.begun:
            self.cycle.keep_alive = False
        more = self._stays if self.cycle.scope["http_version"] == "1.1" else self._stays[1:]
        echo = self._incoming.echo
        if echo:
            self.cycle.default_headers = [*self.cycle.default_headers, *echo]
        self.cycle.default_headers = _Headers(self.cycle, more)  # type: ignore[assignment]  # as uvicorn uses it

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._moves += 1
        self._still_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        super().on_message_complete()
        if self._between:
            self._began = None
            if not self.cycle.response_complete:  # else it was answered before it was whole
                self._rules.room.busy(self)

    def came_whole(self) -> None:
        """See DoorwayProtocol."""
        self._rules.room.busy(self)

    def on_response_complete(self) -> None:
        """See uvicorn."""
        super().on_response_complete()
        if self.cycle is None or self.cycle.response_complete:  # no other one was waiting
            self._rules.room.idle(self)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text
        """Refuse what the parser did not take."""
        if self._refusal is not None:
            self._refuse("head", self._refusal)
        elif self.speaks_http2():
            self._count("not_http")
            self.end_with(GOAWAY)
        else:
            self._refuse("not_http", problem(400, CODES[400], "this is not an HTTP/1.1 request"))

    def shutdown(self) -> None:
        """Take the request that is here or coming as the last one, or end if there is none."""
        self.hold_no_longer()
        self._last = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        elif self._began is None and not self._readable():
            # the request of a connection that was just made is on its way
            wait = NEWCOMER_SECONDS - (self.loop.time() - self._made)
            if self._requests or wait <= 0:
                self.transport.close()
            else:
                self.loop.call_later(wait, self.shutdown)

    def is_quiet(self) -> bool:
        """Whether nothing is on its way here or back."""
        if self.is_held() or self._gathering.waits or self.transport.get_write_buffer_size():
            return False
        return self.transport.is_closing() or not self._readable()

    def make_room(self) -> None:
        """End at once, for another connection."""
        self._count("too_many")
        self.transport.abort()

    def is_idle(self) -> bool:
        """See OneWriteProtocol."""
        # the last answer says that the connection ends, which a refusal at the socket does not
        return super().is_idle() and not self._last and not self._rules.drain.begun

    def _readable(self) -> bool:
        # closing a socket with bytes unread resets it, and a request is lost
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _check_timeouts_later(self) -> None:
        # one timer a connection, not two a request
        self._timer = self.loop.call_later(self._rules.seconds / 4, self._check_timeouts)

    def _check_timeouts(self) -> None:
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
        self._check_timeouts_later()

    def _head_too_large(self) -> Response:
        text = f"the request's line and headers have more than {self._rules.head_bytes} bytes"
        return problem(431, "head_too_large", text)

    def _refuse(self, reason: str, answer: Response) -> None:
        self._count(reason)
        status = answer.status_code
        at_work = self.request_at_work()
        if at_work is not None:
            at_work.refused_as = str(status)
            echo = at_work.echo
        else:
            echo = echo_of(dict(self.headers)) if self._in_head else []
            if self._rules.access_log:
                seconds = 0.0 if self._began is None else self.loop.time() - self._began
                more = {"reason": reason, **for_log(echo)}
                note_access(str(status), "unknown", seconds, more=more)
        headers = [*self.server_state.default_headers, *answer.raw_headers, *echo]
        lines = [b"HTTP/1.1 %d %s\r\n" % (status, HTTPStatus(status).phrase.encode())]
        lines += [b"%s: %s\r\n" % header for header in (*headers, (b"connection", b"close"))]
        body = b"" if self.url and self.parser.get_method() == b"HEAD" else bytes(answer.body)
        self.end_with(b"".join((*lines, b"\r\n", body)))
        self._began = None

    def _count(self, reason: str) -> None:
        if self._rules.cut is not None:
            self._rules.cut.labels(reason).inc()
