"""POST /predict and POST /explain: a body read and decoded, let in, scored, and sent."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from service.errors import DeadlinePassed
from service.http.endpoints.request_body import (
    announced_bytes,
    json_text,
    read_body,
    require_plain_json,
)
from service.http.headers import deadline
from service.http.headers.coding import LEAST_BYTES, Headers, coded
from service.http.wire.incoming import incoming
from service.observe.metrics import Telemetry
from service.scoring.admission import Admission, RouteLoad
from service.scoring.live_version import Live
from service.scoring.payloads import PayloadDecoder
from service.scoring.predictor import Predictor
from service.scoring.turns import Asker
from service.scoring.views import Explanations, View
from service.settings import Settings
from service.versions.shadow import Shadow

NO_HEADERS: Headers = []


class Serving(Protocol):
    """Has the version that answers."""

    def require(self) -> Live:
        """The version, or NoModel."""


class Served(Protocol):
    """What says which version answers; `shadow` keeps requests to judge new ones by."""

    shadow: Shadow

    @property
    def status(self) -> Serving:
        """As it is now."""


class Answering(Protocol):
    """What makes the body of an answer."""

    async def answer(
        self,
        live: Live,
        asked: Any,  # of the kind that its route decodes
        started: float,
        asker: Asker | None = None,
    ) -> bytes:
        """See `Predictor`."""


def most_rows_of(view: View, settings: Settings) -> int:
    """How many rows a request for a view may have."""
    return settings.max_explain_rows if isinstance(view, Explanations) else settings.max_rows


def route_load_of(view: View, admission: Admission, settings: Settings) -> RouteLoad:
    """The load of a view's route: the same object each time."""
    weight = settings.max_rows / most_rows_of(view, settings)
    return admission.route_load(view.route, view.step_rows, weight, low_priority=view.low_priority)


class ScoringEndpoint:
    """A plain ASGI endpoint: a FastAPI route with a model would cost several times the score.

    `decoder` and `answering` are what reads a body and makes an answer; those of the view where
    they are not given.
    """

    def __init__(
        self,
        view: View,
        follower: Served,
        telemetry: Telemetry,
        admission: Admission,
        settings: Settings,
        decoder: PayloadDecoder | None = None,
        answering: Answering | None = None,
    ) -> None:
        self._follower = follower
        self._admission = admission
        self._most_bytes = settings.max_body_bytes
        self._timeout_ms = settings.timeout_ms
        self._explains = explains = isinstance(view, Explanations)
        self._route_load = route_load_of(view, admission, settings)
        self._decoder = decoder or PayloadDecoder(
            most_rows_of(view, settings), settings.input_limits, explain=explains
        )
        self._predictor = answering or Predictor(
            view, telemetry, admission.turns, self._route_load.pace, settings.timeout_ms
        )
        self._decode_seconds = telemetry.stages["decode"]

    def wrap(self, wrapper: Callable[[Answering], Answering]) -> None:
        """Put another around what makes its answers."""
        self._predictor = wrapper(self._predictor)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = incoming(scope)
        headers, started = request.headers, request.received_at
        require_plain_json(headers)
        named = deadline.timeout_ms(scope["headers"]) if deadline.NAME in headers else None
        size = announced_bytes(headers, self._most_bytes)
        if request.expected is None:
            self._admission.check(self._route_load, self._route_load.estimated_rows(size))
        body = json_text(await self._read(headers, receive, started, named or self._timeout_ms))
        live = self._follower.status.require()
        read_at = perf_counter()
        asked = self._decoder.decode(body)
        request.rows = len(asked.rows)
        if named is not None:
            asked = deadline.applied(asked, named)
        self._decode_seconds.observe(perf_counter() - read_at)
        with self._admission.inside(self._route_load, len(asked.rows), len(body), request.expected):
            answer = await self._predictor.answer(live, asked, started, request.sender)
        if not self._explains:
            self._follower.shadow.record(asked, len(body))
        more = NO_HEADERS
        if len(answer) >= LEAST_BYTES:
            answer, more = await coded(scope["headers"], answer)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", b"%d" % len(answer)),
                    *more,
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer})

    async def _read(
        self,
        headers: dict[bytes, bytes],
        receive: Receive,
        started: float,
        timeout_ms: float | None,
    ) -> bytes:
        # within the header's deadline, or else the default one: the body's is not known before
        if timeout_ms is None:
            return await read_body(headers, receive, self._most_bytes)
        left = started + timeout_ms / 1000 - perf_counter()
        try:
            async with asyncio.timeout(max(left, 0.0)):
                return await read_body(headers, receive, self._most_bytes)
        except TimeoutError:
            raise DeadlinePassed(f"{timeout_ms:g} ms were over before all was sent") from None
