"""What a request would be answered with after each single change of one of its candidates: all
values of one field, and of all fields the least change that puts the candidate first.

Exact, by the scoring that /predict has: every changed row is scored, in turns behind auctions.
"""

import asyncio
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from model.changes import Changed, Changes, changes_of
from model.encoding import Encoded, Slate
from model.errors import InputError
from model.page.beginning import shown_fields
from model.vocabulary import FieldVocabulary, Vocabulary
from service.errors import DeadlinePassed
from service.observe.metrics import Telemetry
from service.scoring.answers import LeastChange, WhatIfAnswer
from service.scoring.live_version import Live
from service.scoring.payloads import WhatIfScoringRequest
from service.scoring.turns import Asker, Pace, StepsInTurns, Turns, Until
from service.scoring.views import SLICE_ROWS

Answers = NDArray[np.float32]

MOST_ROWS = 100_000  # changed rows that one request may have scored

_json = msgspec.json.Encoder()


@dataclass(frozen=True)
class _Tried:
    # the changes of one field, and the answers: of the row [V], and the best of the others [V] or
    # [1], which a field of the candidate leaves as they are

    field: str
    changes: Changes
    answers: Answers
    others: Answers
    ranks: NDArray[np.int64]
    gives: bool

    def least(self) -> tuple[float, int] | None:
        # the smallest margin of a change that puts the row first, and which one it is
        margins = self.answers.astype(np.float64) - self.others
        leading = np.flatnonzero(margins > 0)
        if not len(leading):
            return None
        at = int(leading[np.argmin(margins[leading])])
        return float(margins[at]), at


class WhatIf:
    """Answers what-if requests of one worker, whose turns and pace these are; `most_rows` is what
    one request may have scored. `timeout_ms`: of a request that names none, None for none.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        turns: Turns,
        pace: Pace,
        most_rows: int = MOST_ROWS,
        timeout_ms: float | None = None,
    ) -> None:
        self._in_turns = StepsInTurns(turns, pace, low_priority=True)
        self._most_rows = most_rows
        self._timeout_ms = timeout_ms
        self._rows = telemetry.rows.labels("/whatif")
        self._degraded = telemetry.degraded
        self._known: tuple[str, dict[str, FieldVocabulary]] = ("", {})

    async def answer(
        self, live: Live, asked: WhatIfScoringRequest, started: float, asker: Asker | None = None
    ) -> bytes:
        """The body of the answer.

        Raises:
            InputError: no such row or field, or one that cannot be encoded.
            CallerLeft, DeadlinePassed: see `Predictor`.
        """
        timeout_ms = self._timeout_ms if asked.timeout_ms is None else asked.timeout_ms
        deadline = None if timeout_ms is None else started + timeout_ms / 1000
        shown = list(shown_fields(live.bundle.schema))
        if asked.field is not None and asked.field not in shown:
            known = ", ".join(shown)
            raise InputError("unknown_field", f"{asked.field!r} is no field here; known: {known}")
        if not 0 <= asked.row < len(asked.rows):
            raise InputError("bad_row", f"row {asked.row} of {len(asked.rows)}, counted from 0")
        degraded = False
        if live.values is not None:
            left = None if deadline is None else deadline - perf_counter()
            degraded = not await live.values.resolve(asked, left)
        vocabularies = await self._vocabularies(live)
        names = shown if asked.field is None else [asked.field]
        try:
            work = _Work(live, asked, vocabularies, names, self._most_rows)
            await self._in_turns.work(work.steps(), work.sizes(), Until(deadline, asker))
        except TimeoutError:
            raise DeadlinePassed(f"the request's timeout of {timeout_ms:g} ms is over") from None
        if degraded:
            self._degraded.inc()
        assert work.answer is not None  # noqa: S101  its steps end with it
        work.answer.degraded = degraded
        self._rows.inc(work.answer.tried)
        return _json.encode(work.answer)

    async def _vocabularies(self, live: Live) -> dict[str, FieldVocabulary]:
        # of the version that was asked of last; in a thread, as large ones take a while to read
        if self._known[0] != live.version:
            read = await asyncio.to_thread(live.bundle.read_vocabularies)
            self._known = (live.version, read)
        return self._known[1]


@dataclass
class _Work:
    # in steps of a turn each; the last leaves the answer

    live: Live
    asked: WhatIfScoringRequest
    vocabularies: Mapping[str, FieldVocabulary]
    names: list[str]
    most_rows: int
    answer: WhatIfAnswer | None = None

    def sizes(self) -> Iterator[int]:
        while self.answer is None:
            yield SLICE_ROWS

    def steps(self) -> Iterator[None]:
        request = _Request(self.live, self.asked, self.vocabularies)
        tried: list[_Tried] = []
        for name, changes in request.plan(self.names, self.most_rows):
            yield None
            tried.append((yield from request.scored(name, changes)))
        self.answer = request.answer(tried, listed=self.asked.field is not None)
        yield None


class _Request:
    # one request's rows as they are, and what changes make of them

    def __init__(
        self, live: Live, asked: WhatIfScoringRequest, vocabularies: Mapping[str, FieldVocabulary]
    ) -> None:
        schema = live.bundle.schema
        self._live = live
        self._row = row = asked.row
        self._vocabularies = vocabularies
        # what Redis holds, the bundle does as well: no look-up for each value
        self._looked_up = {
            name: vocabularies[name] for name in (live.values.vocabularies if live.values else ())
        }
        raw = asked.rows[0 : len(asked.rows)]
        self._encoded = live.encoder.encode_request(asked.context, raw)
        flat = live.encoder.flat
        raw, context = list(map(flat, raw)), flat(asked.context)
        self._whole = [{**context, **one} for one in raw]
        self._given = [one.keys() for one in raw]
        self._answers = live.scorer.predict(self._encoded).predictions
        self._ads = np.array(schema.candidate_slots, dtype=bool)
        # a source is the context's where all its fields are: else a change is the candidate's own
        own = {schema.sources[n] for n, f in schema.fields.items() if f.role == "candidate"}
        own |= self._given[row]
        self._own = {n: source in own for n, source in schema.sources.items()}

    def cost(self, name: str, values: int) -> int:
        # the rows that so many values of a field are: a change of the context changes all
        return values * (1 if self._own[name] else len(self._encoded))

    def plan(self, names: list[str], most_rows: int) -> list[tuple[str, Changes]]:
        # the changes of each field, in the order of the fields. Of what one request may have, small
        # fields take what they need, and large ones share what is left
        sizes = {name: _size(self._vocabularies[name]) for name in names}
        order = sorted(names, key=lambda name: self.cost(name, sizes[name]))
        left, most = most_rows, {}
        for done, name in enumerate(order):
            share = left // (len(order) - done)
            most[name] = max(1, min(sizes[name], share // self.cost(name, 1)))
            left -= self.cost(name, most[name])
        return [(name, self._changes(name, most[name])) for name in names]

    def _changes(self, name: str, most: int) -> Changes:
        schema = self._live.bundle.schema
        now = self._whole[self._row].get(schema.sources[name])
        return changes_of(schema.fields[name], self._vocabularies[name], now, most)

    def scored(self, name: str, changes: Changes) -> Generator[None, None, _Tried]:
        # in steps of SLICE_ROWS rows
        row = self._row
        size = len(changes.given)
        source = self._live.bundle.schema.sources[name]
        changed = Changed(self._live.encoder, source, self._looked_up)
        if self._own[name]:
            mine = np.empty(size, dtype=np.float32)
            yield from self._fill(mine, changed, changes, row)
            others = np.delete(self._answers, row)[None]
        else:
            whole = np.tile(self._answers, (size, 1))
            for place, given in enumerate(self._given):
                if source not in given:  # else its own value stands, whatever the context's is
                    yield from self._fill(whole[:, place], changed, changes, place)
            mine, others = whole[:, row], np.delete(whole, row, 1)
        best = others.max(1, initial=-np.inf)
        gives = list(changes.given) != list(changes.values)
        return _Tried(name, changes, mine, best, self._ranks(mine, others), gives)

    def _ranks(self, mine: Answers, others: Answers) -> NDArray[np.int64]:
        # of equal answers the earlier one goes first
        ahead = np.arange(others.shape[1]) < self._row
        before = (others > mine[:, None]) | ((others == mine[:, None]) & ahead)
        ranks: NDArray[np.int64] = 1 + before.sum(1)
        return ranks

    def _fill(
        self, out: Answers, changed: Changed, changes: Changes, place: int
    ) -> Generator[None, None, None]:
        base = self._encoded.slice(place, place + 1)
        for start in range(0, len(out), SLICE_ROWS):
            stop = start + SLICE_ROWS
            rows = changed.rows(base, changes.given[start:stop])
            out[start:stop] = self._predictions(rows)
            yield None

    def _predictions(self, rows: Encoded) -> Answers:
        # by the rank graph where the rows have one context
        ads, scorer = self._ads, self._live.scorer
        context_ids, context_values = rows.ids[:, ~ads], rows.values[:, ~ads]
        one = (context_ids == context_ids[0]).all() and (context_values == context_values[0]).all()
        if not one or not scorer.ranks(len(rows)):
            return scorer.predict(rows).predictions
        context = Encoded(context_ids[:1], context_values[:1])
        of_ads = np.ascontiguousarray(rows.ids[:, ads]), np.ascontiguousarray(rows.values[:, ads])
        return scorer.predict(Slate(context, Encoded(*of_ads))).predictions

    def answer(self, tried: list[_Tried], *, listed: bool) -> WhatIfAnswer:
        row = self._row
        others = np.delete(self._answers, row)
        answer = WhatIfAnswer(
            model=self._live.model,
            version=self._live.version,
            degraded=False,
            row=row,
            answer=float(self._answers[row]),
            first=bool((self._answers[row] > others).all()),
            tried=sum(len(one.answers) for one in tried),
            left_out=sum(one.changes.left_out for one in tried),
            least=None,
        )
        if not answer.first:
            answer.least = _least(tried)
        if listed:
            (one,) = tried
            answer.field = one.field
            answer.values = list(one.changes.values)
            answer.answers = one.answers.tolist()
            answer.ranks = one.ranks.tolist()
            answer.others = one.others.tolist() if len(others) else []
            if one.gives:
                answer.given = list(one.changes.given)
        return answer


def _least(tried: list[_Tried]) -> LeastChange | None:
    # of equal margins that of the first field, and its first value
    found = [(least, one) for one in tried if (least := one.least()) is not None]
    if not found:
        return None
    (_, at), one = min(found, key=lambda pair: pair[0][0])
    given = one.changes.given[at] if one.gives else UNSET
    other = one.others[at if len(one.others) > 1 else 0]
    value = one.changes.values[at]
    return LeastChange(one.field, value, float(one.answers[at]), float(other), given)


def _size(vocabulary: FieldVocabulary) -> int:
    # the changes that a field has at most: of few numbers, their count does not matter
    return len(vocabulary.values) + 1 if isinstance(vocabulary, Vocabulary) else 128
