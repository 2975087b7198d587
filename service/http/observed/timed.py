"""ASGI middleware around what scores: the time of each stage in a header, and as a trace."""

from time import perf_counter, time_ns

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.headers.correlation import TRACEPARENT
from service.http.inference.paths import label_of
from service.http.wire.incoming import incoming
from service.observe.metrics import SCORING
from service.observe.timeline import Timeline, timed
from service.observe.traces import Traces


class Timed:
    """Times the requests that score. `header`: whether answers have `server-timing`. `traces`:
    where traces go, None for nowhere.
    """

    def __init__(self, app: ASGIApp, *, header: bool, traces: Traces | None) -> None:
        self._app = app
        self._header = header
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "")
        route = path if path in SCORING else label_of(path)
        if scope["type"] != "http" or route not in SCORING:
            await self._app(scope, receive, send)
            return
        request = incoming(scope)
        began_ns = time_ns() - int(1e9 * (perf_counter() - request.received_at))
        given = request.headers.get(TRACEPARENT, b"").decode("latin-1")
        span = None if self._traces is None else self._traces.begin(route, given, began_ns)
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = [(b"server-timing", header_of(timeline))] if self._header else []
                if span is not None and not given:
                    more.append((TRACEPARENT, span.traceparent))
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        with timed(request.received_at) as timeline:
            try:
                await self._app(scope, receive, watched)
            finally:
                if span is not None:
                    span.end(timeline.stages, status, request.rows)


def header_of(timeline: Timeline) -> bytes:
    """The stages in milliseconds, as `Server-Timing` has them.

    >>> header_of(Timeline(0.0)).startswith(b"total;dur=")
    True
    """
    found = timeline.milliseconds().items()
    return ", ".join(f"{stage};dur={duration:.3f}" for stage, duration in found).encode()
