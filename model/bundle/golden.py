"""Golden rows: raw requests with the answers that they got when the bundle was made."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from model.encoding import Encoder
from model.errors import BundleError, InputError
from model.scorer import Scorer, Scores

TOLERANCE = 1e-6  # of a probability; float32 differs by less between machines
SCORE_TOLERANCE = 1e-5  # of a score, relative to max(1, |score|)


@dataclass(frozen=True)
class GoldenCase:
    """`case` says what the rows are an example of; `request` is a body that /predict takes.

    `probabilities` is None where the task has none, and `scores` are expected instead.
    """

    case: str
    request: dict[str, Any]
    probabilities: list[float] | None
    scores: list[float] | None = None

    @classmethod
    def of(cls, case: str, request: dict[str, Any], answered: Scores) -> "GoldenCase":
        """The case that expects what was answered."""
        if answered.probabilities is None:
            return cls(case, request, None, answered.logits.tolist())
        return cls(case, request, answered.probabilities.tolist())

    def line(self) -> str:
        """As one line of golden.jsonl."""
        said = asdict(self)
        if self.scores is None:
            del said["scores"]
        return json.dumps(said, ensure_ascii=False) + "\n"


def replay(cases: Iterable[GoldenCase], encoder: Encoder, scorer: Scorer) -> None:
    """Score each case as a request is scored.

    Raises:
        BundleError: a probability that differs from the expected one by more than TOLERANCE, or a
            score by more than SCORE_TOLERANCE.
    """
    for case in cases:
        try:
            scores = scorer.predict(encoder.encode(case.request["instances"]))
        except (KeyError, InputError) as error:
            raise BundleError(
                f"golden case {case.case!r} cannot be scored: {error}", "golden"
            ) from error
        if scores.probabilities is None:
            what, size, tolerance = "score", np.maximum(1, np.abs(scores.logits)), SCORE_TOLERANCE
            expected = np.array(case.scores)
        else:
            what, size, tolerance = "probability", np.ones(len(scores.logits)), TOLERANCE
            expected = np.array(case.probabilities)
        if expected.shape != scores.logits.shape:
            raise BundleError(f"golden case {case.case!r}: not one {what} a row", "golden")
        worst = float((np.abs(scores.predictions - expected) / size).max(initial=0.0))
        if not worst <= tolerance:  # NaN is refused as well
            raise BundleError(
                f"golden case {case.case!r}: a {what} differs by {worst:.2g}", "golden"
            )
