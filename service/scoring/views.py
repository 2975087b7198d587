"""What an answer lists, one item a row: probabilities for /predict, explanations for /explain."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from model.encoding import Encoded, Slate
from model.scorer import Scores
from model.values.values import Row
from service.scoring.answers import ExplainAnswer, PredictAnswer, RowError
from service.scoring.live_version import Live
from service.scoring.payloads import ScoringRequest

# The same for every view: the last bit of a row's score depends on the rows it is scored with, and
# /explain is to name the very probability that /predict gives.
SLICE_ROWS = 100

Errors = list[RowError] | UnsetType


class View(ABC):
    """`route`: the path that answers so, with the items under `key`. `step_rows`: rows of one turn,
    a divisor of SLICE_ROWS. `low_priority`: whether others go before.
    """

    route: str
    key: str
    step_rows = SLICE_ROWS
    low_priority = False

    @abstractmethod
    def score(
        self, live: Live, asked: ScoringRequest, rows: Sequence[Row], encoded: Encoded | Slate
    ) -> Iterator[list[Any]]:
        """The items of a slice of a request's `rows`, which `encoded` was made of, in steps."""

    @abstractmethod
    def answer(self, live: Live, items: Raw, errors: Errors, *, degraded: bool) -> Struct:
        """The whole answer; `items`: the list of all rows' items as JSON."""


class NumbersOfRows(View):
    """A view whose items are numbers that the graph gives, all in one step."""

    @staticmethod
    @abstractmethod
    def listed(scores: Scores) -> list[Any]:
        """The item of each row."""

    def score(
        self,
        live: Live,
        asked: ScoringRequest,  # noqa: ARG002  numbers need nothing of the request
        rows: Sequence[Row],  # noqa: ARG002  nor of the raw rows
        encoded: Encoded | Slate,
    ) -> Iterator[list[Any]]:
        """All in one step."""
        yield self.listed(live.scorer.predict(encoded))


class Probabilities(NumbersOfRows):
    """The probability of each row; where the live version's task has none, its score."""

    route = "/predict"
    key = "probabilities"

    @staticmethod
    def listed(scores: Scores) -> list[Any]:
        """One number a row."""
        found: list[Any] = scores.predictions.tolist()
        return found

    def answer(self, live: Live, items: Raw, errors: Errors, *, degraded: bool) -> PredictAnswer:
        """Probabilities, or scores beside none."""
        listed: Any = items  # JSON already
        if live.scorer.has_probabilities:
            return PredictAnswer(live.model, live.version, degraded, listed, UNSET, errors)
        return PredictAnswer(live.model, live.version, degraded, None, listed, errors)


class Explanations(View):
    """Each row's score taken apart, five a turn: they take as long as hundreds of probabilities,
    and an auction does not wait for them.
    """

    route = "/explain"
    key = "explanations"
    step_rows = 5
    low_priority = True

    def score(
        self, live: Live, asked: ScoringRequest, rows: Sequence[Row], encoded: Encoded | Slate
    ) -> Iterator[list[Any]]:
        """Five a step, with their raw values beside."""
        flat = live.encoder.flat
        given, context = list(map(flat, rows[:])), flat(asked.context)
        whole = [{**context, **row} for row in given] if context else given
        scores = live.scorer.predict(encoded)
        if isinstance(encoded, Slate):
            encoded = live.scorer.joined(encoded)
        for at in range(0, len(whole), self.step_rows):
            step = slice(at, at + self.step_rows)
            some = encoded.slice(step.start, step.stop), scores.slice(step.start, step.stop)
            yield live.explainer.explain(whole[step], some[0], asked.top, some[1])

    def answer(self, live: Live, items: Raw, errors: Errors, *, degraded: bool) -> ExplainAnswer:
        """Explanations."""
        listed: Any = items  # JSON already
        return ExplainAnswer(live.model, live.version, degraded, listed, errors)
