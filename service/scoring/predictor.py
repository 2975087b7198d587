"""A live version and decoded rows to the bytes of an answer: one way for /predict and /explain.

It runs on the event loop, since a hop to another thread costs more than most requests; large ones
go in slices, between which other requests have their turn. The deadline is looked at before each.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import msgspec

from model.encoding import Encoded, Slate
from model.errors import InputError
from model.values.values import Row
from service.errors import CallerLeft, DeadlinePassed
from service.observe.metrics import Telemetry
from service.scoring.answers import RowError
from service.scoring.live_version import Live
from service.scoring.payloads import Asked, RawRows, UnreadRows
from service.scoring.turns import Pace, Turns

# The same for every view: the last bit of a row's score depends on the rows it is scored with, and
# /explain is to name the very probability that /predict gives.
SLICE_ROWS = 100

_json = msgspec.json.Encoder()
_items: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


class Asker(Protocol):
    """Who asks; `left`: whether it waits no longer."""

    left: bool


class _Until(NamedTuple):
    # how long there is a point in working on a request

    deadline: float | None
    asker: Asker | None

    def check_asker(self) -> None:
        if self.asker is not None and self.asker.left:
            raise CallerLeft("the caller left before its request was answered")


class View(ABC):
    """What an answer lists, one item a row, under `key`.

    `step_rows`: those of one turn, a divisor of SLICE_ROWS. `later`: whether others go before.
    """

    route: str
    key: str
    step_rows = SLICE_ROWS
    later = False

    def before(self, live: Live) -> bytes:  # noqa: ARG002  what some views look at
        """The answer's keys up to the list."""
        return b'"%s":' % self.key.encode()

    @abstractmethod
    def score(
        self, live: Live, asked: Asked, start: int, encoded: Encoded | Slate
    ) -> Iterator[list[Any]]:
        """The items of the rows from `start` on that `encoded` was made of, in steps."""


class Probabilities(View):
    """The probability of each row; where the live version's task has none, its score."""

    route = "/predict"
    key = "probabilities"

    def before(self, live: Live) -> bytes:
        """The keys of probabilities, or of scores beside none."""
        keys = super().before(live)
        return keys if live.scorer.has_probabilities else keys + b'null,"scores":'

    def score(
        self,
        live: Live,
        asked: Asked,  # noqa: ARG002  numbers need no raw rows
        start: int,  # noqa: ARG002  nor their places
        encoded: Encoded | Slate,
    ) -> Iterator[list[Any]]:
        """All in one step."""
        yield live.scorer.predict(encoded).predictions.tolist()


class Explanations(View):
    """Each row's score taken apart, five a turn: they take as long as hundreds of probabilities,
    and an auction does not wait for them.
    """

    route = "/explain"
    key = "explanations"
    step_rows = 5
    later = True

    def score(
        self, live: Live, asked: Asked, start: int, encoded: Encoded | Slate
    ) -> Iterator[list[Any]]:
        """Five a step, with their raw values beside."""
        rows = asked.rows[start : start + len(encoded)]
        whole = [{**asked.context, **row} for row in rows] if asked.context else rows
        scores = live.scorer.predict(encoded)
        if isinstance(encoded, Slate):
            encoded = live.scorer.joined(encoded)
        for at in range(0, len(rows), self.step_rows):
            step = slice(at, at + self.step_rows)
            some = encoded.slice(step.start, step.stop), scores.slice(step.start, step.stop)
            yield live.explainer.explain(whole[step], some[0], asked.top, some[1])


class Predictor:
    """Answers requests for one view and counts what they were.

    `turns`: shared by all that works on this loop; `pace` learns what this view's rows take.
    `timeout_ms`: of a request that names none, None for none.
    """

    def __init__(
        self,
        view: View,
        telemetry: Telemetry,
        turns: Turns | None = None,
        pace: Pace | None = None,
        timeout_ms: float | None = None,
    ) -> None:
        self._view = view
        self._telemetry = telemetry
        self._turns = turns or Turns()
        self._pace = pace or Pace()
        self._timeout_ms = timeout_ms
        self._rows = telemetry.rows.labels(view.route)

    async def answer(
        self, live: Live, asked: Asked, started: float, asker: Asker | None = None
    ) -> bytes:
        """The body of the answer; `started`: when the request came, by `perf_counter`.

        Raises:
            CallerLeft: its asker did, before the last turn was over.
            InputError: a row that cannot be encoded; `row` is its place in the request.
            DeadlinePassed: the answer is not there, or cannot be, by the request's deadline.
        """
        timeout_ms = self._timeout_ms if asked.timeout_ms is None else asked.timeout_ms
        deadline = None if timeout_ms is None else started + timeout_ms / 1000
        until = _Until(deadline, asker)
        errors = b""
        degraded = False
        if live.values is not None:
            left = None if deadline is None else deadline - perf_counter()
            degraded = not await live.values.resolve(asked, left)
        try:
            if asked.strict:
                items = await self._items(live, asked, until)
            else:
                items, faults = await self._spared(live, asked, until)
                errors = b',"errors":' + _json.encode(faults)
        except TimeoutError:
            raise DeadlinePassed(f"the request's timeout of {timeout_ms:g} ms is over") from None
        until.check_asker()  # who is not counted as answered
        if degraded:
            self._telemetry.degraded.inc()
        return b'{"model":%s,"version":%s,"degraded":%s,%s[%s]%s}' % (
            _json.encode(live.model),
            _json.encode(live.version),
            _json.encode(degraded),
            self._view.before(live),
            items,
            errors,
        )

    async def _items(self, live: Live, asked: Asked, until: _Until) -> bytes:
        # the answer's list without its brackets
        work = _Work(self._view, live, asked)
        parts = await self._in_turns(work, len(asked.rows), until)
        self._count(work)
        return b",".join(parts)

    async def _spared(
        self, live: Live, asked: Asked, until: _Until
    ) -> tuple[bytes, list[RowError]]:
        # the same, null for each row that cannot be scored, and why. The others go again from the
        # start: a row's last bit depends on those beside it, and theirs are as without the faulty
        try:
            return await self._items(live, asked, until), []
        except InputError as error:
            if error.row is None:
                raise
            fault = error
        faults = await self._faults(live, asked, until)
        if not faults:
            raise fault
        rows = asked.rows
        good = [position for position in range(len(rows)) if position not in faults]
        some = rows.at(good) if isinstance(rows, UnreadRows) else [rows[place] for place in good]
        items = await self._items(live, msgspec.structs.replace(asked, rows=some), until)
        given = iter(_items.decode(b"[%s]" % items))
        spread = b",".join(b"null" if n in faults else next(given) for n in range(len(rows)))
        for found in faults.values():
            self._telemetry.row_errors.labels(found.code).inc()
        return spread, [
            RowError(position, found.field, found.code, str(found))
            for position, found in sorted(faults.items())
        ]

    async def _faults(self, live: Live, asked: Asked, until: _Until) -> dict[int, InputError]:
        # of every row that cannot be scored, by its position
        rows, context = asked.rows, asked.context
        found: dict[int, InputError] = {}
        for start in range(0, len(rows), SLICE_ROWS):
            places = range(start, min(start + SLICE_ROWS, len(rows)))
            await self._turns.take(until.deadline, later=self._view.later)
            try:
                until.check_asker()
                if isinstance(rows, UnreadRows):
                    found |= rows.faults(places)
                readable = [place for place in places if place not in found]
                some = [rows[place] for place in readable]
                if not some or _fault(live, context, some) is None:
                    continue
                for place, row in zip(readable, some, strict=True):
                    fault = _fault(live, context, [row])
                    if fault is not None:
                        found[place] = fault
            finally:
                self._turns.give(self._pace, len(places))
        return found

    async def _in_turns(self, work: "_Work", rows: int, until: _Until) -> list[bytes]:
        # the work's steps; TimeoutError where the next one would end, or this one did, too late
        parts: list[bytes] = []
        deadline = until.deadline
        steps, step_rows = iter(work), self._view.step_rows
        # of the steps so far; before the first, what others took of late
        longest = min(step_rows, rows) * self._pace.row_seconds
        asked_at = perf_counter()
        for start in range(0, rows, step_rows):
            await self._turns.take(deadline, later=self._view.later)
            begun = now = perf_counter()
            if not parts:
                self._telemetry.stages["wait"].observe(begun - asked_at)
            try:
                until.check_asker()
                if deadline is None:
                    parts.append(next(steps))
                    continue
                if begun + longest >= deadline:
                    raise TimeoutError
                parts.append(next(steps))
                now = perf_counter()
                longest = max(longest, now - begun)
                if now > deadline:
                    raise TimeoutError
            finally:
                self._turns.give(self._pace, min(step_rows, rows - start))
        return parts

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


def _fault(live: Live, context: Row, rows: Sequence[Row]) -> InputError | None:
    # why one of the rows cannot be encoded
    try:
        live.encoder.encode_request(context, rows)
    except InputError as error:
        if error.row is None:
            raise
        return error
    return None


class _Work:
    # the steps of one request as JSON without the brackets, and what they took

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
            self.encode_seconds += encoded_at - begun
            begun = encoded_at
            for items in self.view.score(self.live, self.asked, start, encoded):
                scored_at = perf_counter()
                part = _json.encode(items)[1:-1]
                self.score_seconds += scored_at - begun
                self.write_seconds += perf_counter() - scored_at
                yield part
                begun = perf_counter()

    def _encode(self, start: int, stop: int) -> Encoded | Slate:
        rows = self.asked.rows
        try:
            if self._context is not None and isinstance(rows, RawRows):
                slate = self.live.slate(self._context, rows, start, stop)
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

    def _note(self, encoded: Encoded) -> None:
        for field, count in encoded.unknown.items():
            self.unknown[field] = self.unknown.get(field, 0) + count
        self.ignored = max(self.ignored, encoded.ignored)
