"""Does attention say which pairs matter? The logit with pairs taken out, chosen in three ways.

Taking a pair out of a logit takes its contribution away; the other terms stay as they are. The most
attended pairs are held against as many drawn at random, the least that a choice must beat, and
against the choice that moves the logit furthest: the largest contributions of one sign, as those of
two cancel (after the erasure tests of Jain & Wallace, NAACL 2019, and Serrano & Smith, ACL 2019).

Attention has no sign, and cannot choose by it. So whether it finds the pairs that matter is judged
by their mass, the sum of their contributions' absolute values, of which the largest hold the most.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.pair_effects import PairTerms

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_REMOVED = 10
DRAWS = 10  # of random pairs, a row
Z = 1.96
LARGELY = 0.5  # of the way from the mass of random pairs to that of the largest
ALIKE = 0.95  # of |R|: with so many effective pairs, the weights differ little
UNIFORM = 0.99  # of |R|: with so many effective pairs, the weights hardly differ


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
    `contributing` are the k pairs that move the logit furthest, so no other curve lies above this.

    The rest is None for a net without attention. `mass`: share of the rows' mass that k random
    pairs, the k most attended and the k largest hold. `gain`: mean lead of attended over random
    pairs in mass, in units of the logit, with its interval. `effective`: mean of exp(entropy of
    attention) / |R|, 1 where attention is uniform. `flattened`: mean absolute change of the logit
    with uniform attention in the net's place, and `whole` that with no pair term at all.
    """

    rows: int
    at: int
    contributing: Removal
    random: Removal
    attended: Removal | None
    mass: tuple[float, float, float] | None
    gain: tuple[float, float, float] | None
    effective: float | None
    flattened: float | None
    whole: float

    @property
    def share(self) -> float | None:
        """How much of the way from the mass of random pairs to the largest attention goes; 1 at
        most.
        """
        if self.mass is None:
            return None
        random, attended, largest = self.mass
        return (attended - random) / (largest - random) if largest > random else None

    def sentence(self) -> str:
        """What the figures say of this model, in words."""
        k = self.at
        pairs = "pair" if k == 1 else "pairs"
        moved = (
            f"removing {k} {pairs} changes the logit by at most "
            f"{self.contributing.mean[k - 1]:.3f} on average, removing {k} random {pairs} by "
            f"{self.random.mean[k - 1]:.3f}"
        )
        if self.attended is None or self.mass is None:
            return f"This net has no attention. Over {self.rows:,} rows, {moved}."
        random, attended, largest = (100 * share for share in self.mass)
        held = (
            f"These {k} have {attended:.0f} % of the sum of all |contributions|; {k} random ones "
            f"have {random:.0f} %, the {k} largest {largest:.0f} %"
        )
        moved += f", and removing the {k} most attended by {self.attended.mean[k - 1]:.3f}"
        said = f"Over {self.rows:,} rows, {moved}. {held}."
        return f"{self._verdict()} {said} {self._weights()}"

    def _verdict(self) -> str:
        _, low, high = self.gain or (0.0, 0.0, 0.0)
        if (self.effective or 0.0) >= UNIFORM:
            return (
                "This model's attention hardly tells pairs apart: its weights are nearly equal, "
                "in any order. The contributions say which pairs matter."
            )
        if high < 0:
            return (
                "This model's attention misleads: the pairs it attends to most matter less than "
                "pairs drawn at random."
            )
        if low <= 0:
            return (
                "This model's attention does not say which pairs matter: the pairs it attends to "
                "most add no more to the score than pairs drawn at random."
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
        spread = f"they spread over as many pairs as {100 * effective:.1f} % of the present ones"
        little = "differ little" if effective >= ALIKE else "differ"
        differ = "hardly differ" if effective >= UNIFORM else little
        return (
            f"Its weights {differ} ({spread}): equal weights would change the logit by "
            f"{flattened:.3f}, and removing all pairs would change it by {self.whole:.3f}."
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

    size = np.abs(contribution)

    def chosen(key: Floats) -> Ints:  # (B, most), ties in random order
        masked = np.where(present, key, -np.inf)
        return np.lexsort((rng.random(masked.shape), -masked), axis=1)[:, :most]

    def moved(chosen: Ints) -> Floats:
        return np.abs(np.cumsum(np.take_along_axis(contribution, chosen, 1), axis=1))

    def mass(chosen: Ints) -> Floats:  # (B,)
        held: Floats = np.take_along_axis(size, chosen[:, :at], 1).sum(1)
        return held

    draws = [chosen(np.zeros(present.shape)) for _ in range(DRAWS)]
    by_chance = np.mean([moved(draw) for draw in draws], axis=0)
    signs = (moved(chosen(sign * contribution)) for sign in (1, -1))
    contributing = _removal(np.maximum(*signs))
    all_pairs = contribution.sum(1)
    whole = float(np.abs(all_pairs).mean())
    if terms.attention is None:
        random = _removal(by_chance)
        nothing = None, None, None, None, None
        return Faithfulness(len(rows), at, contributing, random, *nothing, whole)
    attention = terms.attention[rows].astype(np.float64)
    attended = chosen(attention)
    masses = np.mean([mass(draw) for draw in draws], axis=0), mass(attended), mass(chosen(size))
    lead = _removal((masses[1] - masses[0])[:, None])
    share = [float(one.sum() / max(size.sum(), 1e-300)) for one in masses]
    entropy = -(attention * np.log(np.maximum(attention, 1e-300))).sum(1)
    equal = np.where(present, terms.interaction[rows], 0.0).sum(1) / terms.size[rows]
    return Faithfulness(
        len(rows),
        at,
        contributing,
        _removal(by_chance),
        _removal(moved(attended)),
        (share[0], share[1], share[2]),
        (float(lead.mean[0]), float(lead.low[0]), float(lead.high[0])),
        float(np.mean(np.exp(entropy) / terms.size[rows])),
        float(np.abs(equal - all_pairs).mean()),
        whole,
    )


def _removal(moved: Floats) -> Removal:
    mean = moved.mean(0)
    half = Z * moved.std(0) / np.sqrt(len(moved))
    return Removal(mean, mean - half, mean + half)
