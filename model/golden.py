"""Golden rows: raw requests with the probabilities that they got when the bundle was made."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from model.encoding import Encoder
from model.errors import BundleError, InputError
from model.scorer import Scorer

TOLERANCE = 1e-6  # of a probability; float32 differs by less between machines


@dataclass(frozen=True)
class GoldenCase:
    """`case` says what the rows are an example of; `request` is a body that /predict takes."""

    case: str
    request: dict[str, Any]
    probabilities: list[float]

    def line(self) -> str:
        """As one line of golden.jsonl."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


def replay(cases: Iterable[GoldenCase], encoder: Encoder, scorer: Scorer) -> None:
    """Score each case as a request is scored.

    Raises:
        BundleError: a probability that differs from the expected one by more than TOLERANCE.
    """
    for case in cases:
        try:
            scores = scorer.predict(encoder.encode(case.request["instances"]))
        except (KeyError, InputError) as error:
            raise BundleError(f"golden case {case.case!r} cannot be scored: {error}") from error
        expected = np.array(case.probabilities)
        if expected.shape != scores.probabilities.shape:
            raise BundleError(f"golden case {case.case!r}: not one probability a row")
        worst = float(np.abs(scores.probabilities - expected).max(initial=0.0))
        if not worst <= TOLERANCE:  # NaN is refused as well
            raise BundleError(f"golden case {case.case!r}: probabilities differ by {worst:.2g}")
