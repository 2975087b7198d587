"""HTTP to values and back; every error is a row of the table in `problems`."""

import asyncio
import re
from io import BytesIO
from time import perf_counter
from typing import Any, Protocol

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.errors import (
    BodyTooLarge,
    CompressedBody,
    DeadlinePassed,
    MalformedBody,
    MediaTypeError,
)
from service.http.access.auth import UNAUTHENTICATED_HEALTH
from service.http.headers import deadline
from service.http.headers.coding import Gzip, Headers
from service.http.problems import problem
from service.http.request_metrics import ROWS
from service.http.wire.drain import Drain
from service.http.wire.protocol import BY_NAME, RECEIVED_AT, SENDER, Sender
from service.observe.metrics import SCORING, STATUS_PATHS, Telemetry
from service.scoring.admission import Admission
from service.scoring.live_version import Live
from service.scoring.payloads import PayloadDecoder
from service.scoring.predictor import Asker, Explanations, Predictor, Probabilities, View
from service.settings import Settings
from service.versions.follower import Follower
from service.versions.model_choice import EXAMPLE
from service.versions.shadow import Shadow

BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # which some tools put first; RFC 8259 lets it be ignored
NO_HEADERS: Headers = []
PATHS = frozenset((*SCORING, *STATUS_PATHS))


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


class ScoringEndpoint:
    """A plain ASGI endpoint: a FastAPI route with a model would cost several times the score."""

    def __init__(
        self,
        view: View,
        follower: Served,
        telemetry: Telemetry,
        admission: Admission,
        settings: Settings,
    ) -> None:
        self._follower = follower
        self._admission = admission
        self._most_bytes = settings.max_body_bytes
        self._timeout_ms = settings.timeout_ms
        self._gzip = Gzip(settings.gzip_bytes)
        self._explains = explains = isinstance(view, Explanations)
        most_rows = settings.max_explain_rows if explains else settings.max_rows
        self._entrance = admission.entrance(
            view.route, view.step_rows, settings.max_rows / most_rows, later=view.later
        )
        self._decoder = PayloadDecoder(most_rows, settings.input_limits, explain=explains)
        self._predictor: Answering = Predictor(
            view, telemetry, admission.turns, self._entrance.pace, settings.timeout_ms
        )
        self._decode_seconds = telemetry.stages["decode"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        state = scope.get("state", {})
        started = state.get(RECEIVED_AT) or perf_counter()
        sender = state.get(SENDER) or Sender()
        headers = state.get(BY_NAME) or dict(scope["headers"])
        _require_json(headers.get(b"content-type", b""))
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            coding = as_text(headers[b"content-encoding"])
            raise CompressedBody(f"the body must be sent without a content-encoding, not {coding}")
        named = deadline.timeout_ms(scope["headers"]) if deadline.NAME in headers else None
        size = announced_bytes(headers, self._most_bytes)
        self._admission.check(self._entrance, self._entrance.judged(size))
        body = await self._read(headers, receive, started, named or self._timeout_ms)
        body = body.removeprefix(BYTE_ORDER_MARK)
        if not body or body.isspace():
            raise MalformedBody("the body is empty")
        live = self._follower.status.require()
        read_at = perf_counter()
        asked = self._decoder.decode(body)
        state[ROWS] = len(asked.rows)
        if named is not None:
            least = deadline.smaller(named, asked.timeout_ms)
            asked = msgspec.structs.replace(asked, timeout_ms=least)
        self._decode_seconds.observe(perf_counter() - read_at)
        with self._admission.inside(self._entrance, len(asked.rows), len(body)):
            answer = await self._predictor.answer(live, asked, started, sender)
        if not self._explains:
            self._follower.shadow.record(asked, len(body))
        more = NO_HEADERS
        if len(answer) >= self._gzip.least:
            answer, more = await self._gzip.coded(scope["headers"], answer)
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


MEDIA_TYPE = re.compile(rb"[\w.+-]{1,60}/[\w.+-]{1,60}( *; *[\w-]+=[\w.-]+)*")


def _require_json(content_type: bytes) -> None:
    kind = content_type.partition(b";")[0].strip().lower()
    if kind != b"application/json" and not (
        kind.startswith(b"application/") and kind.endswith(b"+json")
    ):
        # a header that is no media type may be anything, a secret at the wrong place included
        shown = as_text(content_type) if MEDIA_TYPE.fullmatch(content_type) else "something else"
        sent = f"as {shown}" if content_type else "without one"
        raise MediaTypeError(
            f"the body must be sent with content-type: application/json; it was sent {sent}"
        )


def as_text(value: bytes) -> str:
    """A header's value as an error may show it: short, and in quotation marks."""
    return repr(value[:100].decode("latin-1"))


def announced_bytes(headers: dict[bytes, bytes], most: int) -> int:
    """How many bytes the body is said to have; 0 where it comes in chunks.

    Raises:
        BodyTooLarge: more than `most`.
    """
    announced = headers.get(b"content-length", b"0").strip()
    if len(announced) > len(str(most)) or int(announced) > most:
        raise BodyTooLarge(f"the body has more than {most} bytes")
    return int(announced)


async def read_body(headers: dict[bytes, bytes], receive: Receive, most: int) -> bytes:
    """A request's body, read no further than `most` bytes, announced or chunked.

    Raises:
        BodyTooLarge: more bytes than `most`.
        ClientDisconnect: the caller went away before the end.
    """
    announced_bytes(headers, most)
    message = await receive()
    first: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False):
        if len(first) > most:
            raise BodyTooLarge(f"the body has more than {most} bytes")
        return first
    whole = BytesIO()  # a list of chunks would be many times as large where each is a byte
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if whole.tell() + len(message.get("body", b"")) > most:
            raise BodyTooLarge(f"the body has more than {most} bytes")
        whole.write(message.get("body", b""))
        if not message.get("more_body", False):
            return whole.getvalue()
        message = await receive()


def _status_routes(follower: Follower, telemetry: Telemetry, drain: Drain) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz", summary="The process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz", summary="A verified, warm version is live", response_model=None)
    async def readyz(request: Request) -> Response | dict[str, Any]:
        status = follower.status  # one value: no part of it is older than another
        if request.scope.get(UNAUTHENTICATED_HEALTH):
            if status.live is None:
                return problem(503, "no_model", "no version is live")
            return {"status": "ready"}
        refusal = status.refusal
        refused = None
        if refusal:
            refused = {k: getattr(refusal, k) for k in ("version", "code", "reason")}
        state: dict[str, Any] = {
            "model": status.live.model if status.live else status.model,
            "example": status.live is not None and status.live.model == EXAMPLE,
            "version": status.live.version if status.live else None,
            "active": status.active,
            "redis": status.redis_fault or status.redis_warning or "ok",
            "confirmed": status.confirmed,
            "refused": refused,
        }
        if drain.unready:
            return problem(503, "stopping", "this process is about to stop", **state)
        if status.live is None:
            return problem(503, "no_model", status.why_not_ready(), **state)
        return {"status": "ready", **state}

    @router.get("/metrics", summary="Prometheus' text format", response_class=Response)
    def metrics() -> Response:  # in a thread: with many workers it reads many files
        return Response(telemetry.scrape(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/model", summary="The live version")
    async def model() -> dict[str, Any]:
        live = follower.status.require()
        manifest = live.bundle.manifest
        return {
            "model": live.model,
            "example": live.model == EXAMPLE,
            "version": live.version,
            "net": manifest.net,
            "task": manifest.task,
            "created": manifest.created,
            "schema": live.bundle.schema.model_dump(),
            "metrics": manifest.metrics,
        }

    return router


def add_routes(
    app: FastAPI,
    settings: Settings,
    follower: Follower,
    telemetry: Telemetry,
    admission: Admission,
    drain: Drain,
) -> dict[str, ScoringEndpoint]:
    """Give the app its paths; returns those that score."""
    scoring = {}
    for view in (Probabilities(), Explanations()):
        endpoint = ScoringEndpoint(view, follower, telemetry, admission, settings)
        app.router.routes.append(Route(view.route, endpoint, methods=["POST"]))
        scoring[view.route] = endpoint
    app.include_router(_status_routes(follower, telemetry, drain))
    return scoring
