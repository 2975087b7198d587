"""uvicorn's HTTP protocol as a busy service needs it. No byte of one request is read as another:

`Upgrade` is ignored (RFC 9110, 7.8). What cannot be read ends the connection, after the answers
that were due before it; so does a final answer to a caller that holds its body back (`Expect`, RFC
9110, 10.1.1).
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.http.headers.correlation import echo_of, logging_as
from service.http.wire.idle_timer import IdleTimer
from service.http.wire.incoming import KEY, Incoming, Sender
from service.http.wire.transport import Gathering, PipelinedFlow
from service.scoring.admission import Expected

# RFC 9113: an empty SETTINGS frame, then GOAWAY with the code HTTP_1_1_REQUIRED
NOT_HTTP2 = b"this service speaks HTTP/1.1"
GOAWAY = b"\0\0\0\x04\0\0\0\0\0" + b"\0\0%c\x07\0\0\0\0\0" % (8 + len(NOT_HTTP2))
GOAWAY += b"\0\0\0\0\0\0\0\x0d" + NOT_HTTP2


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol over a transport that gathers what one turn of the loop writes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """See asyncio.Protocol."""
        self._gathering = Gathering(transport, self.loop, lambda: not self._between)
        super().connection_made(self._gathering)  # type: ignore[arg-type]  # as good as one
        self.flow = PipelinedFlow(self._gathering, self.pipeline)  # type: ignore[arg-type]  # the same
        self._sender = Sender()
        self._at_work: RequestResponseCycle | None = None
        self._between = True  # two messages, as far as the bytes have come
        self._in_head = False
        self._deaf = False  # see is_deaf
        self._last_words: bytes | None = None  # to be written when all before is answered
        self._received_at = 0.0
        self._expected: Expected | None = None  # as what the request being read was let in
        self._idle_timer = IdleTimer(
            self.loop, self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if not self.is_deaf():
            self.parse(data, perf_counter(), None)

    def is_deaf(self) -> bool:
        """Whether what still comes is no request any more."""
        return self._deaf or self.transport.is_closing()

    def parse(self, data: bytes, received_at: float, expected: Expected | None) -> None:
        """Take bytes that came at `received_at`; `expected`: how the admission counts the request
        that they are, where it was let in unparsed.
        """
        self._received_at, self._expected = received_at, expected
        try:
            self._feed(data)
        except httptools.HttpParserError:
            if not self._deaf:
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """See httptools."""
        if self._deaf:
            raise ValueError("data after the last request")
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._between = False
        self._in_head = True
        incoming = Incoming(self._received_at, self._sender, self._expected)
        self._incoming = self.scope["state"][KEY] = incoming

    def on_headers_complete(self) -> None:
        """See httptools."""
        method = self.parser.get_method()
        if self.parser.should_upgrade() and method != b"CONNECT":
            return  # it comes again, without
        version = self.parser.get_http_version()
        self.check_head(method, version)
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110, 10.1.1
        self._incoming.headers = dict(self.headers)
        self._incoming.echo = echo_of(self._incoming.headers)
        super().on_headers_complete()
        if version == "1.0":
            # the parser lets `keep-alive` win over `close`, and RFC 9112, 9.3 does not
            closes = any(b"close" in tokens(v) for n, v in self.headers if n == b"connection")
            self.cycle.keep_alive = self.parser.should_keep_alive() and not closes
        self.headers = []  # trailers are none of the request's headers
        self._in_head = False
        self.request_began()

    def on_message_complete(self) -> None:
        """See httptools."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._between = True
        if not self.parser.should_keep_alive():  # trailers may say so too; it reads nothing more
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self.transport.close()
        self._deaf = not self.cycle.keep_alive

    def on_response_complete(self) -> None:
        """See uvicorn."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_timer.idle()
        if self._last_words is not None:
            self._say(self._last_words)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_timer.busy()

    def check_head(self, method: bytes, version: str) -> None:
        """Raise ValueError for a request that is not taken, whatever becomes of its body."""
        if method == b"CONNECT":
            raise ValueError("this is no proxy")
        if version == "1.0" and any(name == b"transfer-encoding" for name, _ in self.headers):
            raise ValueError("HTTP/1.0 has no chunks")  # RFC 9112, 6.1: its end is in doubt

    def request_began(self) -> None:
        """Its head is whole, and `cycle` is its own."""

    def end_with(self, answer: bytes | None) -> None:
        """Read nothing more; answer the request that is coming, if it has no answer yet, in its
        turn, and end. None: without an answer to it.
        """
        self._deaf = True
        before = bool(self.pipeline)
        if self._between or self._in_head:
            before = before or not (self.cycle is None or self.cycle.response_complete)
        elif self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()
        elif self.cycle.response_complete:
            answer = None
        elif self.cycle.response_started:
            self.cycle.keep_alive = False
            return
        else:
            self.cycle.disconnected = True  # what it still sends goes nowhere
            self.cycle.message_event.set()
        if before:
            self._last_words = answer or b""
        else:
            self._say(answer or b"")

    def request_at_work(self) -> Incoming | None:
        """The request whose body is coming, where the app is at work on it and has not
        answered; None where `end_with` answers what no app knows of.
        """
        if self._between or self._in_head or self.cycle.response_started:
            return None
        if self.pipeline and self.pipeline[0][0] is self.cycle:
            return None
        found: Incoming = self.cycle.scope["state"][KEY]
        return found

    def _say(self, words: bytes) -> None:
        self._last_words = None
        if words:
            self.transport.write(words)
        self._between = False  # the caller may be sending still
        self.transport.close()

    def _feed(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as stopped:
                # the parser takes what follows such a head for another protocol
                rest = rest[stopped.args[0] :]
                self._read_again_without_upgrade()
            else:
                return

    def _read_again_without_upgrade(self) -> None:
        parser = self.parser
        head = [parser.get_method(), b" ", self.url, b" HTTP/"]
        head += [parser.get_http_version().encode(), b"\r\n"]
        for name, value in self.headers:
            if name != b"upgrade":  # without it no `connection` makes an upgrade
                head += [name, b": ", value, b"\r\n"]
        head.append(b"\r\n")
        self._received_at = self._incoming.received_at
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn
        self.parser.feed_data(b"".join(head))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._at_work = cycle
        if cycle.waiting_for_100_continue or cycle.scope["http_version"] == "1.0":
            app = _saying_what_follows(cycle, app)
        echo = cycle.scope["state"][KEY].echo
        if echo:
            app = logging_as(echo, app)
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._sender.left = True
        self._idle_timer.cancel()
        if self._at_work is not None:  # uvicorn informs only the last one of a pipeline
            self._at_work.disconnected = True
        super().connection_lost(exc)

    def is_idle(self) -> bool:
        """Whether all that came is answered, and no other request has begun."""
        answered = self.cycle is None or self.cycle.response_complete
        return self._between and answered

    def speaks_http2(self) -> bool:
        """Whether the connection began with the preface of HTTP/2."""
        return self.cycle is None and self.parser.get_method() == b"PRI"


def tokens(value: bytes) -> list[bytes]:
    """The tokens of a header that is a list of them, in small letters."""
    return [token.strip().lower() for token in value.split(b",")]


def _saying_what_follows(cycle: RequestResponseCycle, app: Any) -> Any:
    # an app whose answer says, and does, what becomes of the connection

    async def answering(
        scope: Any, receive: Any, send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        async def watched(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                if cycle.waiting_for_100_continue:
                    cycle.keep_alive = False  # whether the body comes nobody knows
                elif cycle.keep_alive and scope["http_version"] == "1.0":
                    more = (b"connection", b"keep-alive")
                    message = {**message, "headers": [*message.get("headers", ()), more]}
            await send(message)

        await app(scope, receive, watched)

    return answering
