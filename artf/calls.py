"""One call of GetMutations: a POST to /predict of the app behind, and its scores as mutations.

So a call has whatever a request has: limits, deadline, overload, API key, metrics, traces. An
impression without a score, and a call without an answer in time, have no mutation.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

import grpc
import msgspec
from google.protobuf.message import DecodeError

from artf.messages import (
    ADD_METRICS,
    API_VERSION,
    OPERATION_ADD,
    RTBRequest,
    RTBResponse,
    object_of,
)

App = Callable[[Any, Any, Any], Awaitable[None]]

METRIC, VENDOR = "click_through_rate", "ctr-afm"
PASSED_ON = ("authorization", "x-api-key", "x-request-id", "traceparent")
RESERVE, MOST_RESERVE_MS = 0.1, 2.0  # of `tmax`: kept for the way back
IN_TIME_NO_ANSWER = (429, 504)  # and a 503 that means overload
CODES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    503: grpc.StatusCode.UNAVAILABLE,
}


class Calls:
    """Answers calls by an ASGI app that has `/predict`."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def get_mutations(self, data: bytes, context: Any) -> Any:
        """The mutations of one request; ends the call with a status where it cannot be read, is not
        allowed, or nothing is live.
        """
        begun = perf_counter()
        try:
            request = RTBRequest.FromString(data)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is no RTBRequest")
        response = RTBResponse(id=request.id)
        response.metadata.api_version = API_VERSION
        intents = request.applicable_intents
        if not request.bid_request.imp or (intents and ADD_METRICS not in intents):
            return response
        left = _milliseconds(request.tmax, context.time_remaining())
        body = {"bid_request": object_of(request.bid_request), "strict": False}
        status, found = await self._ask(msgspec.json.encode(body), _headers(context, left))
        if status == 200:
            if left is None or 1000 * (perf_counter() - begun) <= left:
                _add(response, request.bid_request.imp, found)
        elif status not in IN_TIME_NO_ANSWER and found.get("code") != "overloaded":
            refused = grpc.StatusCode.INVALID_ARGUMENT
            code = CODES.get(status, refused if status < 500 else grpc.StatusCode.INTERNAL)
            await context.abort(code, found.get("detail", ""))
        return response

    async def _ask(
        self, body: bytes, headers: list[tuple[bytes, bytes]]
    ) -> tuple[int, dict[str, Any]]:
        status = 0
        parts: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        length = (b"content-length", b"%d" % len(body))
        await self._app({**_SCOPE, "headers": [length, *headers], "state": {}}, receive, send)
        return status, msgspec.json.decode(b"".join(parts))


_SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "2",
    "method": "POST",
    "scheme": "http",
    "path": "/predict",
    "raw_path": b"/predict",
    "root_path": "",
    "query_string": b"",
    "client": None,
    "server": None,
}


def _milliseconds(tmax: int, remaining: float | None) -> float | None:
    # what may be spent here of the orchestrator's time, or of the call's own deadline
    given = [float(tmax)] if tmax > 0 else []
    if remaining is not None:
        given.append(1000 * remaining)
    if not given:
        return None
    least = min(given)
    return max(least - min(RESERVE * least, MOST_RESERVE_MS), 0.001)


def _headers(context: Any, left: float | None) -> list[tuple[bytes, bytes]]:
    found = [(b"content-type", b"application/json")]
    if left is not None:
        found.append((b"x-timeout-ms", b"%.3f" % left))
    for key, value in context.invocation_metadata() or ():
        if key in PASSED_ON:
            found.append((key.encode(), value.encode()))
    return found


def _add(response: Any, impressions: Any, found: dict[str, Any]) -> None:
    response.metadata.model_version = found["version"]
    # a task without probabilities has nothing that is a metric
    mutation = RTBResponse().mutations.add(intent=ADD_METRICS, op=OPERATION_ADD)
    metric = mutation.metrics.metric.add(type=METRIC, vendor=VENDOR)
    for impression, score in zip(impressions, found["probabilities"] or (), strict=False):
        if score is not None and impression.id:
            mutation.path = f"/imp/{impression.id}"
            metric.value = score
            response.mutations.append(mutation)  # a copy; to make each anew takes twice as long
