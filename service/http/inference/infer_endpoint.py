"""POST .../infer: a request read into rows, and scored as /predict's are."""

from time import perf_counter

from starlette.types import Receive, Scope, Send

from service.errors import Forbidden, TooManyRows, UnknownModel
from service.http.access.auth import RIGHTS
from service.http.endpoints.request_body import announced_bytes, json_text, require_plain_tensors
from service.http.endpoints.scoring import ScoringEndpoint
from service.http.headers import deadline
from service.http.headers.coding import LEAST_BYTES, coded
from service.http.inference.infer_request import LENGTH, Inference, InferenceReader
from service.http.inference.outputs import (
    ATTENTION,
    AttentionNumbers,
    ScoreNumbers,
    answer_of,
    wanted,
)
from service.http.wire.incoming import incoming
from service.observe.metrics import Telemetry
from service.scoring.admission import Admission
from service.scoring.live_version import Live
from service.scoring.predictor import Predictor
from service.settings import Settings
from service.versions.follower import Follower


def require_named(scope: Scope, live: Live) -> None:
    """Check that a path names the live model, and the live version where it names one.

    Raises:
        UnknownModel: it names another.
    """
    named = scope["path_params"]
    if named["model"] != live.model:
        raise UnknownModel(f"this service has the model {live.model!r} and no other")
    if named.get("version", live.version) != live.version:
        raise UnknownModel(f"the live version of {live.model!r} is {live.version!r}")


class InferEndpoint(ScoringEndpoint):
    """Answers infer requests; those that ask for attention wait and count as explanations do."""

    def __init__(
        self, follower: Follower, telemetry: Telemetry, admission: Admission, settings: Settings
    ) -> None:
        super().__init__(ScoreNumbers(), follower, telemetry, admission, settings)
        self._reader = InferenceReader(settings.max_rows, settings.input_limits)
        view = AttentionNumbers()
        self._most_explained = settings.max_explain_rows
        self._explain_load = admission.route_load(
            f"{view.route} {ATTENTION}",
            view.step_rows,
            settings.max_rows / settings.max_explain_rows,
            low_priority=True,
        )
        pace = self._explain_load.pace
        self._explaining = Predictor(view, telemetry, admission.turns, pace, settings.timeout_ms)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = incoming(scope)
        headers, started = request.headers, request.received_at
        require_plain_tensors(headers)
        named = deadline.timeout_ms(scope["headers"]) if deadline.NAME in headers else None
        size = announced_bytes(headers, self._most_bytes)
        self._admission.check(self._route_load, self._route_load.estimated_rows(size))
        length = headers.get(LENGTH)
        body = await self._read(headers, receive, started, named or self._timeout_ms)
        body = body if length else json_text(body)
        live = self._follower.status.require()
        require_named(scope, live)
        read_at = perf_counter()
        inference = await self._reader.read(body, length)
        outputs = wanted(inference, live)
        explains = ATTENTION in outputs
        if explains:
            self._check_explained(scope, inference)
        asked = inference.asked
        request.rows = len(asked.rows)
        if named is not None:
            asked = deadline.applied(asked, named)
        self._decode_seconds.observe(perf_counter() - read_at)
        load = self._explain_load if explains else self._route_load
        predictor = self._explaining if explains else self._predictor
        with self._admission.inside(load, len(asked.rows), len(body)):
            numbered = await predictor.answer(live, asked, started, request.sender)
        if not explains:
            self._follower.shadow.record(asked, len(body))
        answer, more = answer_of(numbered, outputs, inference.id)
        if len(answer) >= LEAST_BYTES:
            answer, coding = await coded(scope["headers"], answer)
            more = [*more, *coding]
        more = [*more, (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": more})
        await send({"type": "http.response.body", "body": answer})

    def _check_explained(self, scope: Scope, inference: Inference) -> None:
        rights = scope.get(RIGHTS)
        if rights is not None and "explain" not in rights:
            raise Forbidden("explain")
        if len(inference.asked.rows) > self._most_explained:
            text = f"{len(inference.asked.rows)} rows: at most {self._most_explained}"
            raise TooManyRows(f"{text} with {ATTENTION} in one request")
