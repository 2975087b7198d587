"""Does attention say which pairs matter? The logit with pairs taken out, chosen in three ways.

Taking a pair out of a logit takes its contribution away; the other terms stay as they are. The most
attended pairs are held against as many drawn at random, the least that a choice must beat, and
against those with the largest contributions, the most that one could hope for (after the erasure
tests of Jain & Wallace, NAACL 2019, and Serrano & Smith, ACL 2019).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.pair_effects import PairTerms

Floats = NDArray[np.float64]

MOST_REMOVED = 10
DRAWS = 10  # of random pairs, a row
Z = 1.96
LARGELY = 0.5  # of the way from random pairs to the largest contributions
UNIFORM = 0.98  # of |R|: with so many effective pairs, the weights hardly differ


@dataclass(frozen=True)
class Removal:
    """How far the logit moves: `mean` [10] of its absolute change after k = 1..10 pairs are gone,
    in `low`..`high`.
    """

    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Faithfulness:
    """Removals over `rows` rows of two or more pairs, and k = `at`, which is spoken of.

    The rest is None for a net without attention. `gain`: mean lead of attended over random pairs at
    that k, with its interval. `effective`: mean of exp(entropy of attention) / |R|, 1 where
    attention is uniform. `flattened`: mean absolute change of the logit with uniform attention in
    the net's place, and `whole` that with no pair term at all.
    """

    rows: int
    at: int
    contributing: Removal
    random: Removal
    attended: Removal | None
    gain: tuple[float, float, float] | None
    effective: float | None
    flattened: float | None
    whole: float

    @property
    def share(self) -> float | None:
        """How much of the way from random pairs to the largest contributions attention goes."""
        if self.attended is None:
            return None
        k = self.at - 1
        way = self.contributing.mean[k] - self.random.mean[k]
        return float((self.attended.mean[k] - self.random.mean[k]) / way) if way > 0 else None

    def sentence(self) -> str:
        """What the figures say of this model, in words."""
        k = self.at
        pairs = "pair" if k == 1 else "pairs"
        moved = (
            f"taking out the {k} {pairs} with the largest contribution moves the logit by "
            f"{self.contributing.mean[k - 1]:.3f} on average, {k} random {pairs} by "
            f"{self.random.mean[k - 1]:.3f}"
        )
        if self.attended is None or self.gain is None:
            return f"This net has no attention. Over {self.rows} rows, {moved}."
        moved += f", the {k} most attended by {self.attended.mean[k - 1]:.3f}"
        if self.share is not None:
            # above 100 % where large contributions of both signs cancel
            moved += f", {100 * self.share:.0f} % of the way from random to largest"
        return f"{self._verdict()} Over {self.rows} rows, {moved}. {self._weights()}"

    def _verdict(self) -> str:
        _, low, high = self.gain or (0.0, 0.0, 0.0)
        if high < 0:
            return (
                "This model's attention misleads: the pairs it attends to most matter less than "
                "pairs drawn at random."
            )
        if low <= 0:
            return (
                "This model's attention does not say which pairs matter: the pairs it attends to "
                "most move the score no further than pairs drawn at random."
            )
        if (self.share or 0.0) >= LARGELY:
            return (
                "This model's attention means something: the pairs it attends to most are mostly "
                "those that matter."
            )
        return (
            "This model's attention means little: it does better than chance at finding the pairs "
            "that matter, and misses most of them."
        )

    def _weights(self) -> str:
        effective, flattened = self.effective or 0.0, self.flattened or 0.0
        spread = (
            f"they spread over as many pairs as {100 * effective:.1f} % of those that are there"
        )
        differ = "hardly differ" if effective >= UNIFORM else "differ"
        return (
            f"Its weights {differ} ({spread}); equal weights in their place would move the logit "
            f"by {flattened:.3f}, of {self.whole:.3f} that all pairs together do."
        )


def faithfulness(terms: PairTerms, seed: int = 1) -> Faithfulness | None:
    """Try the three removals on the rows of `terms`; None where no row has two pairs."""
    rows = np.flatnonzero(terms.size >= 2)
    if not len(rows):
        return None
    contribution = terms.contribution[rows].astype(np.float64)
    present = terms.present[rows]
    most = min(MOST_REMOVED, contribution.shape[1])
    rng = np.random.default_rng(seed)
    # of half of the pairs that are there, every choice of pairs is nearly the same
    at = int(np.clip(np.median(terms.size[rows]) // 3, 1, min(5, most)))

    def moved(key: Floats) -> Floats:  # (B, most), ties in random order
        masked = np.where(present, key, -np.inf)
        order = np.lexsort((rng.random(masked.shape), -masked), axis=1)[:, :most]
        return np.abs(np.cumsum(np.take_along_axis(contribution, order, 1), axis=1))

    by_chance = np.mean([moved(np.zeros(present.shape)) for _ in range(DRAWS)], axis=0)
    contributing = _removal(moved(np.abs(contribution)))
    all_pairs = contribution.sum(1)
    whole = float(np.abs(all_pairs).mean())
    if terms.attention is None:
        random = _removal(by_chance)
        return Faithfulness(len(rows), at, contributing, random, None, None, None, None, whole)
    attention = terms.attention[rows].astype(np.float64)
    attended = moved(attention)
    lead = _removal(attended - by_chance)
    gain = (lead.mean[at - 1], lead.low[at - 1], lead.high[at - 1])
    entropy = -(attention * np.log(np.maximum(attention, 1e-300))).sum(1)
    equal = np.where(present, terms.interaction[rows], 0.0).sum(1) / terms.size[rows]
    return Faithfulness(
        len(rows),
        at,
        contributing,
        _removal(by_chance),
        _removal(attended),
        (float(gain[0]), float(gain[1]), float(gain[2])),
        float(np.mean(np.exp(entropy) / terms.size[rows])),
        float(np.abs(equal - all_pairs).mean()),
        whole,
    )


def _removal(moved: Floats) -> Removal:
    mean = moved.mean(0)
    half = Z * moved.std(0) / np.sqrt(len(moved))
    return Removal(mean, mean - half, mean + half)
