"""ASGI middleware that counts, times and, where asked for, logs answers."""

from functools import cache
from time import perf_counter

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.inference.paths import label_of
from service.http.wire.incoming import incoming
from service.observe.access_log import note_access
from service.observe.metrics import Telemetry


class RequestMetrics:
    """Counts and times the answers of each known route; with `access_log`, logs each one."""

    def __init__(
        self,
        app: ASGIApp,
        telemetry: Telemetry,
        routes: frozenset[str],
        *,
        access_log: bool = False,
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._routes = routes
        self._access_log = access_log
        self._labelled = cache(self._labels)  # to look labels up costs more than to count

    def _labels(self, route: str, status: str) -> tuple[Counter, Histogram]:
        telemetry = self._telemetry
        return telemetry.requests.labels(route, status), telemetry.seconds.labels(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        status = "none"  # the caller went away before there was an answer

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            # a path of the caller's making must not become a label
            route = scope["path"]
            if route not in self._routes:
                route = label_of(route) or "unknown"
            took = perf_counter() - started
            if status == "none":  # or it was answered at the socket
                status = incoming(scope).refused_as or status
            answers, seconds = self._labelled(route, status)
            answers.inc()
            seconds.observe(took)
            if self._access_log:
                note_access(status, route, took, incoming(scope).rows)
