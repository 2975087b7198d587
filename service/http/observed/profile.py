"""`/explain?profile=true`: what the request took, stage by stage, beside the reasons."""

from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from service.http.endpoints.scoring import Answering, ScoringEndpoint, Served
from service.http.wire.incoming import incoming
from service.observe.metrics import Telemetry
from service.observe.timeline import at_hand, timed
from service.scoring.admission import Admission
from service.scoring.live_version import Live
from service.scoring.turns import Asker
from service.scoring.views import Explanations
from service.settings import Settings

NAME = "profile"

PARAMETER: dict[str, Any] = {
    "name": NAME,
    "in": "query",
    "required": False,
    "description": "true: the answer says what the request took, stage by stage.",
    "schema": {"type": "boolean"},
}
"""The parameter in the OpenAPI document."""


class _Profiled:
    # its answers have a profile where the request asked for one

    def __init__(self, inner: Answering) -> None:
        self._inner = inner

    async def answer(
        self, live: Live, asked: Any, started: float, asker: Asker | None = None
    ) -> bytes:
        body = await self._inner.answer(live, asked, started, asker)
        timeline = at_hand()
        if timeline is None or not timeline.in_answer:
            return body
        return b'%s,"%s":%s}' % (
            body.removesuffix(b"}"),
            NAME.encode(),
            msgspec.json.encode(timeline.milliseconds()),
        )


class ProfiledEndpoint(ScoringEndpoint):
    """POST /explain, with a profile for who asks for one."""

    def __init__(
        self,
        view: Explanations,
        follower: Served,
        telemetry: Telemetry,
        admission: Admission,
        settings: Settings,
    ) -> None:
        super().__init__(view, follower, telemetry.noting(), admission, settings)
        self._predictor = _Profiled(self._predictor)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        query = scope.get("query_string", b"")
        if not query or QueryParams(query).get(NAME) not in ("true", "1"):
            await super().__call__(scope, receive, send)
            return
        with timed(incoming(scope).received_at) as timeline:
            timeline.in_answer = True
            await super().__call__(scope, receive, send)
