"""Answers that are offered to the prediction log on their way out."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from structlog.contextvars import get_contextvars

from model.errors import InputError
from model.values.values import Row
from service.http.endpoints.scoring import Answering
from service.http.headers.correlation import LOG_KEYS
from service.observe.prediction_log import PredictionLog
from service.scoring.live_version import Live
from service.scoring.payloads import ScoringRequest
from service.scoring.turns import Asker

Scores = Callable[[Any], Sequence[float | None]]


def of_predict(answer: Any) -> Sequence[float | None]:
    """The scores of an answer of /predict."""
    found: Sequence[float | None] = answer["probabilities"] or answer.get("scores") or []
    return found


class Logged:
    """Answers as `inner` does; `scores` finds a score a row in a decoded answer."""

    def __init__(self, inner: Answering, log: PredictionLog, scores: Scores = of_predict) -> None:
        self._inner = inner
        self._log = log
        self._scores = scores

    async def answer(
        self, live: Live, asked: ScoringRequest, started: float, asker: Asker | None = None
    ) -> bytes:
        """See `Predictor`."""
        body = await self._inner.answer(live, asked, started, asker)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        found = get_contextvars()
        named: dict[str, Any] = {key: found[key] for key in LOG_KEYS if key in found}
        self._log.offer(lambda: self._lines(live, asked, body, {"time": at, **named}))
        return body

    def _lines(
        self, live: Live, asked: ScoringRequest, body: bytes, named: dict[str, Any]
    ) -> Iterable[dict[str, Any]]:
        private = live.bundle.schema.private_sources
        named |= {"model": live.model, "version": live.version}
        context = live.encoder.flat(asked.context)
        scores = self._scores(msgspec.json.decode(body))
        for place, (row, score) in enumerate(zip(asked.rows, scores, strict=True)):
            whole = {**context, **_flat(live, row)}
            shown = {key: value for key, value in whole.items() if key not in private}
            yield {**named, "place": place, "score": score, "row": shown}


def _flat(live: Live, row: Row) -> Row:
    # a row that cannot be read has no score either
    try:
        return live.encoder.flat(row)
    except InputError:
        return {}
