"""A live version and decoded rows to the bytes of an answer: one way for /predict and /explain.

It runs on the event loop, since a hop to another thread costs more than most requests; large ones
go in slices, between which other requests have their turn. The deadline is looked at before each.
"""

from collections.abc import Iterator, Sequence
from time import perf_counter

import msgspec
from msgspec import UNSET, Raw

from model.errors import InputError
from model.values.values import Row
from service.errors import DeadlinePassed
from service.observe.metrics import Telemetry
from service.scoring.answers import RowError
from service.scoring.live_version import Live
from service.scoring.payloads import ScoringRequest
from service.scoring.slices import Tally, encode_context, score_slice, slice_faults
from service.scoring.turns import Asker, Pace, StepsInTurns, Turns, Until
from service.scoring.unread_rows import UnreadRows
from service.scoring.views import SLICE_ROWS, Errors, View

_json = msgspec.json.Encoder()
_items: msgspec.json.Decoder[list[Raw]] = msgspec.json.Decoder(list[Raw])


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
        self._in_turns = StepsInTurns(
            turns or Turns(), pace or Pace(), low_priority=view.low_priority
        )
        self._waited = telemetry.stages["wait"].observe
        self._timeout_ms = timeout_ms
        self._rows = telemetry.rows.labels(view.route)

    async def answer(
        self, live: Live, asked: ScoringRequest, started: float, asker: Asker | None = None
    ) -> bytes:
        """The body of the answer; `started`: when the request came, by `perf_counter`.

        Raises:
            CallerLeft: its asker did, before the last turn was over.
            InputError: a row that cannot be encoded; `row` is its place in the request.
            DeadlinePassed: the answer is not there, or cannot be, by the request's deadline.
        """
        timeout_ms = self._timeout_ms if asked.timeout_ms is None else asked.timeout_ms
        deadline = None if timeout_ms is None else started + timeout_ms / 1000
        until = Until(deadline, asker)
        errors: Errors = UNSET
        degraded = False
        if live.values is not None:
            begun = perf_counter()
            left = None if deadline is None else deadline - begun
            degraded = not await live.values.resolve(asked, left)
            self._telemetry.stages["lookup"].observe(perf_counter() - begun)
        try:
            if asked.strict:
                items = await self._items(live, asked, until)
            else:
                items, errors = await self._score_leniently(live, asked, until)
        except TimeoutError:
            raise DeadlinePassed(f"the request's timeout of {timeout_ms:g} ms is over") from None
        until.check_asker()  # who is not counted as answered
        if degraded:
            self._telemetry.degraded.inc()
        listed = Raw(b"[%s]" % items)
        return _json.encode(self._view.answer(live, listed, errors, degraded=degraded))

    async def _items(self, live: Live, asked: ScoringRequest, until: Until) -> bytes:
        # the answer's list without its brackets
        tally = Tally()
        steps = self._steps(live, asked, tally)
        sizes = _sizes(len(asked.rows), self._view.step_rows)
        parts = await self._in_turns.work(steps, sizes, until, self._waited)
        self._count(live, tally, len(asked.rows))
        return b",".join(parts)

    async def _score_leniently(
        self, live: Live, asked: ScoringRequest, until: Until
    ) -> tuple[bytes, list[RowError]]:
        # the same, null for each row that cannot be scored, and why. The others go again from the
        # start: a row's last bit depends on those beside it, and these are as without the faulty
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

    async def _faults(
        self, live: Live, asked: ScoringRequest, until: Until
    ) -> dict[int, InputError]:
        # of every row that cannot be scored, by its position
        steps = (
            {start + place: fault for place, fault in slice_faults(live, asked, rows).items()}
            for start, rows in _slices(asked.rows)
        )
        sizes = _sizes(len(asked.rows), SLICE_ROWS)
        found: dict[int, InputError] = {}
        for faults in await self._in_turns.work(steps, sizes, until):
            found |= faults
        return found

    def _steps(self, live: Live, asked: ScoringRequest, tally: Tally) -> Iterator[bytes]:
        # all slices' steps; the one place where a row's number within its slice becomes that in
        # the request
        begun = perf_counter()
        context = encode_context(live, asked)
        if context is not None:
            tally.note(context)
        tally.encode_seconds += perf_counter() - begun
        for start, rows in _slices(asked.rows):
            try:
                yield from score_slice(live, self._view, asked, context, rows, tally)
            except InputError as error:
                if error.row is not None:
                    error.row += start
                raise

    def _count(self, live: Live, tally: Tally, rows: int) -> None:
        telemetry = self._telemetry
        self._rows.inc(rows)
        telemetry.stages["encode"].observe(tally.encode_seconds)
        telemetry.stages["score"].observe(tally.score_seconds)
        telemetry.stages["write"].observe(tally.write_seconds)
        for field, count in tally.unknown.items():
            telemetry.unknown.labels(field).inc(count)
        for counter, count in zip(telemetry.ad_cache, live.ads.take_counts(), strict=True):
            if count:
                counter.inc(count)
        if tally.ignored:
            telemetry.ignored.inc(tally.ignored)


def _sizes(rows: int, most: int) -> Iterator[int]:
    # of the steps of at most so many rows that these rows are
    for start in range(0, rows, most):
        yield min(most, rows - start)


def _slices(rows: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
    # each with the position of its first row
    if len(rows) <= SLICE_ROWS:
        yield 0, rows
        return
    for start in range(0, len(rows), SLICE_ROWS):
        stop = start + SLICE_ROWS
        yield start, rows.part(start, stop) if isinstance(rows, UnreadRows) else rows[start:stop]
