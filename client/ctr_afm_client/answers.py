"""What calls return."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from ctr_afm_client.errors import NoAnswer


class RowError(TypedDict):
    """Why a row has no score; `row` counts from 0."""

    row: int
    field: str | None
    code: str
    detail: str


class LinearTerm(TypedDict):
    """What one value adds to the logit by itself."""

    field: str
    value: str | None
    known: bool
    contribution: float


class PairTerm(TypedDict):
    """What a pair of values adds to the logit; no attention where the net has none."""

    fields: list[str]
    values: list[str | None]
    attention: float | None
    interaction: float
    contribution: float


class Rest(TypedDict):
    """The sums over the pairs that are not listed."""

    pairs: int
    attention: float | None
    contribution: float


class _Explanation(TypedDict):
    probability: float | None
    logit: float
    bias: float
    linear: list[LinearTerm]
    pairs: list[PairTerm] | None
    rest: Rest | None


class Explanation(_Explanation, total=False):
    """One score taken apart: bias + linear + pairs + rest = logit. `score` where the task has no
    probability; `reason` where the net is no sum over pairs.
    """

    score: float
    reason: str


@dataclass(frozen=True)
class Prediction:
    """A score for each of the N rows.

    `scores`: the probabilities, or what the model gives in their place; a row that has none is
    None, or the client's fallback. `is_fallback`: which of them are. `has_probabilities`: None
    where the service did not answer. `errors`: of rows that could not be scored. `fault`: why
    nothing was, where every score is the fallback; `model` and `version` are None then.
    """

    scores: Sequence[float | None]
    is_fallback: Sequence[bool]
    has_probabilities: bool | None = None
    model: str | None = None
    version: str | None = None
    degraded: bool = False
    errors: Sequence[RowError] = ()
    fault: NoAnswer | None = None

    @property
    def probabilities(self) -> Sequence[float | None]:
        """The scores of a model that gives probabilities.

        Raises:
            ValueError: the model's task has none.
        """
        if self.has_probabilities is False:
            raise ValueError("the model's task has no probabilities: see scores")
        return self.scores


@dataclass(frozen=True)
class Explanations:
    """An explanation for each of the N rows."""

    explanations: Sequence[Explanation]
    model: str
    version: str
    degraded: bool = False


@dataclass(frozen=True)
class Reply:
    """One answer as it came: `body` is JSON, or None for what is none."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
