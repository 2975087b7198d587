"""A live version and decoded rows to the bytes of an answer: one way for /predict and /explain.

It runs on the event loop, since a hop to another thread costs more than most requests; large ones
go in slices, between which other requests have their turn and the deadline is looked at.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import msgspec

from model.encoding import Encoded, Slate
from model.errors import InputError
from service.errors import DeadlinePassed
from service.live import Live
from service.payloads import Asked, RawRows
from service.telemetry import Telemetry

# The same for every view: the last bit of a row's score depends on the rows it is scored with, and
# /explain is to name the very probability that /predict gives.
SLICE_ROWS = 100

_json = msgspec.json.Encoder()


class View(ABC):
    """What an answer lists, one item a row, under `key`."""

    route: str
    key: str

    def before(self, live: Live) -> bytes:  # noqa: ARG002  what some views look at
        """The answer's keys up to the list."""
        return b'"%s":' % self.key.encode()

    @abstractmethod
    def score(self, live: Live, asked: Asked, start: int, encoded: Encoded | Slate) -> list[Any]:
        """The items of the rows from `start` on that `encoded` was made of."""


class Probabilities(View):
    """The probability of each row; where the live version's task has none, its score."""

    route = "/predict"
    key = "probabilities"

    def before(self, live: Live) -> bytes:  # noqa: D102
        keys = super().before(live)
        return keys if live.scorer.has_probabilities else keys + b'null,"scores":'

    def score(self, live: Live, asked: Asked, start: int, encoded: Encoded | Slate) -> list[Any]:  # noqa: ARG002, D102
        predictions: list[float] = live.scorer.predict(encoded).predictions.tolist()
        return predictions


class Explanations(View):
    """Each row's score taken apart."""

    route = "/explain"
    key = "explanations"

    def score(self, live: Live, asked: Asked, start: int, encoded: Encoded | Slate) -> list[Any]:  # noqa: D102
        rows = asked.rows[start : start + len(encoded)]
        whole = [{**asked.context, **row} for row in rows] if asked.context else rows
        return live.explainer.explain(whole, encoded, asked.top)


class Predictor:
    """Answers requests for one view and counts what they were."""

    def __init__(self, view: View, telemetry: Telemetry) -> None:
        self._view = view
        self._telemetry = telemetry
        self._rows = telemetry.rows.labels(view.route)

    async def answer(self, live: Live, asked: Asked, started: float) -> bytes:
        """The body of the answer; `started`: when the request came, by `perf_counter`.

        Raises:
            InputError: a row that cannot be encoded; `row` is its place in the request.
            DeadlinePassed: `asked.timeout_ms` was over before the last slice.
        """
        deadline = None if asked.timeout_ms is None else started + asked.timeout_ms / 1000
        parts = []
        work = _Work(self._view, live, asked)
        for part in work:
            parts.append(part)
            if deadline is not None and perf_counter() > deadline:
                raise DeadlinePassed(f"the request's timeout of {asked.timeout_ms:g} ms is over")
            if len(parts) * SLICE_ROWS < len(asked.rows):
                await asyncio.sleep(0)
        self._count(work)
        return b'{"model":%s,"version":%s,"degraded":false,%s[%s]}' % (
            _json.encode(live.model),
            _json.encode(live.version),
            self._view.before(live),
            b",".join(parts),
        )

    def _count(self, work: "_Work") -> None:
        telemetry = self._telemetry
        self._rows.inc(len(work.asked.rows))
        telemetry.stages["encode"].observe(work.encode_seconds)
        telemetry.stages["score"].observe(work.score_seconds)
        telemetry.stages["write"].observe(work.write_seconds)
        for field, count in work.unknown.items():
            telemetry.unknown.labels(field).inc(count)
        for counter, count in zip(telemetry.ad_cache, work.live.ads.take_counts(), strict=True):
            if count:
                counter.inc(count)
        if work.ignored:
            telemetry.ignored.inc(work.ignored)


class _Work:
    # the slices of one request as JSON without the brackets, and what they took

    def __init__(self, view: View, live: Live, asked: Asked) -> None:
        self.view = view
        self.live = live
        self.asked = asked
        self.encode_seconds = self.score_seconds = self.write_seconds = 0.0
        self.unknown: dict[str, int] = {}
        self.ignored = 0
        self._context: Encoded | None = None  # by itself, where the ads are too

    def __iter__(self) -> Iterator[bytes]:
        begun = perf_counter()
        rows = self.asked.rows
        if isinstance(rows, RawRows):
            self._context = self.live.encoder.encode_context(self.asked.context)
            if self._context is not None:
                self._note(self._context)
        for start in range(0, len(rows), SLICE_ROWS):
            encoded = self._encode(start, start + SLICE_ROWS)
            encoded_at = perf_counter()
            items = self.view.score(self.live, self.asked, start, encoded)
            scored_at = perf_counter()
            part = _json.encode(items)[1:-1]
            self.encode_seconds += encoded_at - begun
            self.score_seconds += scored_at - encoded_at
            self.write_seconds += perf_counter() - scored_at
            yield part
            begun = perf_counter()

    def _encode(self, start: int, stop: int) -> Encoded | Slate:
        rows = self.asked.rows
        try:
            if self._context is not None and isinstance(rows, RawRows):
                slate = self._slate(self._context, rows, start, stop)
                if slate is not None:
                    self._note(slate.ads)
                    return slate
            whole = self.live.encoder.encode_request(self.asked.context, rows[start:stop])
        except InputError as error:
            if error.row is not None:
                error.row += start
            raise
        self._note(whole)
        return whole

    def _slate(self, context: Encoded, rows: RawRows, start: int, stop: int) -> Slate | None:
        live = self.live
        if not live.scorer.ranks(len(rows)):  # the ads' own parts are of no use then
            few = live.encoder.encode_ads(rows[start:stop])
            return None if few is None else Slate(context, few)
        found = live.ads.encode(
            rows.raws[start:stop],
            lambda positions: rows.read([start + position for position in positions]),
        )
        return None if found is None else Slate(context, *found)

    def _note(self, encoded: Encoded) -> None:
        for field, count in encoded.unknown.items():
            self.unknown[field] = self.unknown.get(field, 0) + count
        self.ignored = max(self.ignored, encoded.ignored)
