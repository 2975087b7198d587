"""A score taken apart: the very terms that its logit is the sum of, in the form /explain gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.encoding import Encoded, Encoder, Slate
from model.pairs import pair_slots
from model.scorer import Floats, Scorer, Scores, ScoreTerms
from model.values.values import Row

# The `reason` that an explanation without pairs gives.
NOT_ADDITIVE = (
    "the net is not additive: its layers mix what the pairs of features add, so no share of the "
    "logit is one pair's; only the linear terms are a share of their own"
)


class Explainer:
    """Explains rows by one bundle's encoder and scorer."""

    def __init__(self, encoder: Encoder, scorer: Scorer) -> None:
        self._encoder = encoder
        self._scorer = scorer
        self._slots = encoder.schema.slots
        self._first, self._second = pair_slots(len(self._slots))

    def explain(
        self,
        rows: Sequence[Row],
        encoded: Encoded | Slate,
        top: int | None,
        scores: Scores | None = None,
    ) -> list[dict[str, Any]]:
        """One explanation a row: `bias` + linear + pair contributions + `rest` = `logit`.

        `rows` are the raw rows that `encoded` was made of, a context merged in. `top` pairs with
        the largest |contribution| are given, None for all; `rest` sums up the others. Absent
        features are not listed. Where the net has no attention, it is null; where it is no sum over
        pairs, `pairs` and `rest` are null and `reason` says why: the logit is then more than the
        `bias` and the linear terms that are given. Where the task has no probability, it is null,
        and `score` is what the row was answered with: the logit. `scores` are the rows', where they
        are known: the last bit of a row's depends on those that it was scored with.
        """
        if not rows:
            return []
        probabilities, logits = self._scorer.predict(encoded) if scores is None else scores
        if isinstance(encoded, Slate):
            encoded = self._scorer.joined(encoded)
        terms = self._scorer.explain(encoded)
        known = ~self._encoder.unknown(encoded.ids)
        present = encoded.values != 0
        explanations = []
        for i, row in enumerate(rows):
            texts = self._encoder.texts(row)
            explanations.append(
                {
                    **_answer(probabilities, logits, i),
                    "logit": float(logits[i]),
                    "bias": self._scorer.bias,
                    "linear": [
                        {
                            "field": self._slots[slot],
                            "value": text,
                            "known": bool(known[i, slot]),
                            "contribution": float(terms.linear[i, slot]),
                        }
                        for slot, text in enumerate(texts)
                        if text is not None or present[i, slot]  # a missing value's token
                    ],
                    **self._pairs(terms, i, present[i], texts, top),
                }
            )
        return explanations

    def _pairs(
        self, terms: ScoreTerms, i: int, present: Any, texts: Sequence[str | None], top: int | None
    ) -> dict[str, Any]:
        # the part of row i's explanation that is about pairs
        interaction, attention, contribution = (
            None if term is None else term[i]
            for term in (terms.interaction, terms.attention, terms.contribution)
        )
        if interaction is None or contribution is None:
            return {"pairs": None, "rest": None, "reason": NOT_ADDITIVE}
        order, left = self._ranked(contribution, present, top)
        return {
            "pairs": [
                {
                    "fields": [self._slots[self._first[p]], self._slots[self._second[p]]],
                    "values": [texts[self._first[p]], texts[self._second[p]]],
                    "attention": None if attention is None else float(attention[p]),
                    "interaction": float(interaction[p]),
                    "contribution": float(contribution[p]),
                }
                for p in order
            ],
            "rest": {
                "pairs": len(left),
                "attention": None
                if attention is None
                else float(attention[left].sum(dtype=np.float64)),
                "contribution": float(contribution[left].sum(dtype=np.float64)),
            },
        }

    def _ranked(self, contribution: Any, present: Any, top: int | None) -> tuple[Any, Any]:
        # the present pairs, largest first, and what is left of them behind the first `top`
        if not len(contribution):
            return contribution, contribution.astype(np.int64)
        pairs = np.flatnonzero(present[self._first] & present[self._second])
        pairs = pairs[np.argsort(-np.abs(contribution[pairs]), kind="stable")]
        return pairs[:top], pairs[top:] if top is not None else pairs[:0]


def _answer(probabilities: Floats | None, logits: Floats, i: int) -> dict[str, Any]:
    # what /predict gives row i
    if probabilities is None:
        return {"probability": None, "score": float(logits[i])}
    return {"probability": float(probabilities[i])}
