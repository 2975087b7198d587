"""Calibration: the increasing function that makes honest probabilities of the logits of B rows held
out, corrected for sampling before. Four kinds, the simplest first:

none         the logits as they are
temperature  scale * x (Guo et al., ICML 2017)
platt        scale * x + shift (Platt, 1999)
isotonic     a line through the means of blocks that never fall (Zadrozny & Elkan, KDD 2002), with
             each block's mean at its centre (Oron & Flournoy, 2017), so that ranking is kept
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.manifest import MOST_KNOTS, Calibration
from model.metrics.ranked_rows import SMALLEST
from training.fit.newton import logistic_factors

Floats = NDArray[np.float64]

# keeps the line finite where a few held-out rows happen to be perfectly separated
RIDGE = 1e-6
FOLDS = 5
FEWEST = 50  # rows' worth of weight in a block: a rate of fewer is mostly noise
LEAST_SLOPE, MOST_SLOPE = (
    0.05,
    20.0,
)  # between two knots; an end has its neighbour's
CLOSEST = 1e-3  # two knots, in units of the logit
LEAST_SCALE = 1e-3  # of a line; a flatter one would round the ranking away


@dataclass(frozen=True)
class Calibrated:
    """The function chosen, its kind, and the cross-validated logloss of each kind that was tried,
    in nats a row; none where the kind was given.
    """

    calibration: Calibration
    kind: str
    losses: Mapping[str, float]


def calibrate(
    logits: Floats,
    labels: Floats,
    weights: Floats,
    kind: str = "auto",
    rate: float = 1.0,
    seed: int = 1,
) -> Calibrated:
    """Fit a function of one `kind` to rows of which training kept negatives with `rate`; "auto"
    takes the simplest kind whose logloss lies within one standard error of the best one's.

    The logloss is 5-fold cross-validated; the error is that of the rows' differences to the best
    kind (Breiman et al., 1984, paired). With fewer than two rows of a class nothing is fitted.
    """
    x = logits + np.log(rate)
    if any((labels[weights > 0] == label).sum() < 2 for label in (0, 1)):
        return Calibrated(Calibration(rate=rate), "none", {})
    losses: dict[str, float] = {}
    if kind == "auto":
        each = {name: _held_out_losses(fit, x, labels, weights, seed) for name, fit in FITS.items()}
        share = weights / weights.sum()
        losses = {name: float(share @ of_rows) for name, of_rows in each.items()}
        best = min(losses, key=losses.__getitem__)
        kind = next(name for name in FITS if as_good(each[name], each[best], share))
    chosen = FITS[kind](x, labels, weights)
    return Calibrated(chosen.model_copy(update={"rate": rate}), kind, losses)


def apply(calibration: Calibration, logits: Floats) -> Floats:
    """Calibrated logits [B] of the net's own, as the exported graph has them."""
    x = logits + np.log(calibration.rate)
    if not calibration.knots:
        line: Floats = calibration.scale * x + calibration.shift
        return line
    knots, levels = np.array(calibration.knots), np.array(calibration.levels)
    slopes = np.diff(levels) / np.diff(knots)
    beyond = slopes[0] * np.minimum(x - knots[0], 0) + slopes[-1] * np.maximum(x - knots[-1], 0)
    joined: Floats = np.interp(x, knots, levels) + beyond
    return joined


def untouched(x: Floats, labels: Floats, weights: Floats) -> Calibration:  # noqa: ARG001  a kind like the others
    """The logits as they are."""
    return Calibration()


def temperature(x: Floats, labels: Floats, weights: Floats) -> Calibration:
    """The scale of the lowest logloss; the logits as they are where that is hardly positive."""
    (scale,) = logistic_factors(x[:, None], np.ones(1), labels, weights, ridge=RIDGE)
    return Calibration(scale=float(scale)) if scale > LEAST_SCALE else Calibration()


def platt(x: Floats, labels: Floats, weights: Floats) -> Calibration:
    """The line of the lowest logloss. A scale that is not positive would turn the ranking round,
    and one of next to nothing would level it; then the logits stay as they are.
    """
    design = np.stack([x, np.ones_like(x)], axis=1)  # (B, 2)
    scale, shift = map(
        float, logistic_factors(design, np.array([1.0, 0.0]), labels, weights, ridge=RIDGE)
    )
    return Calibration(scale=scale, shift=shift) if scale > LEAST_SCALE else Calibration()


def isotonic(x: Floats, labels: Floats, weights: Floats) -> Calibration:
    """Blocks of rows whose click rates never fall, by pooling adjacent violators; up to 64 of them,
    each of at least FEWEST rows' worth, joined by lines. With fewer than two blocks: Platt's line.
    """
    blocks = pooled(x, labels, weights)  # (S, 3)
    mass, at, clicks = blocks.T
    prior = float(clicks.sum() / mass.sum())
    worth = weights.sum() / (weights @ weights)  # of a unit of weight, in rows
    # one row's worth of the overall rate keeps the ends, which may hold one class, finite
    rates = (clicks * worth + prior) / (mass * worth + 1)
    knots, levels = at / mass, np.log(rates) - np.log1p(-rates)
    if len(knots) < 2:
        return platt(x, labels, weights)
    widths = np.diff(knots)
    rises = np.clip(np.diff(levels), LEAST_SLOPE * widths, MOST_SLOPE * widths)
    levels = levels[0] + np.concatenate([[0.0], np.cumsum(rises)])
    found = Calibration(knots=knots.tolist(), levels=levels.tolist())
    # lines between the blocks' means miss the overall rate a little: one more shift meets it
    offset = apply(found, x)
    (shift,) = logistic_factors(np.ones((len(x), 1)), np.zeros(1), labels, weights, offset, RIDGE)
    return Calibration(knots=knots.tolist(), levels=(levels + shift).tolist())


FITS: dict[str, Callable[[Floats, Floats, Floats], Calibration]] = {
    "none": untouched,
    "temperature": temperature,
    "platt": platt,
    "isotonic": isotonic,
}


def pooled(x: Floats, labels: Floats, weights: Floats) -> Floats:
    """Blocks along x whose click rates rise from each to the next: of each its weight, and its
    weighted sums of x and of the labels, [S, 3], S up to 64.
    """
    order = np.argsort(x, kind="stable")
    order = order[weights[order] > 0]
    w = weights[order]
    terms = np.stack([w, w * x[order], w * labels[order]], axis=1)  # (B, 3)
    first = np.flatnonzero(np.diff(x[order], prepend=-np.inf))  # of each distinct x
    least = max(FEWEST * (w @ w) / w.sum(), w.sum() / MOST_KNOTS)
    # blocks that are too light first, as a violation within one is no news
    sums = np.add.reduceat(terms, first, axis=0)
    number = np.minimum(np.cumsum(sums[:, 0]) // least, max(w.sum() // least - 1, 0))
    light = np.add.reduceat(sums, np.flatnonzero(np.diff(number, prepend=-1.0)), axis=0)
    blocks: list[Floats] = []
    for block in light:
        blocks.append(block)
        while len(blocks) > 1 and not _apart(*blocks[-2:]):
            last = blocks.pop()
            blocks[-1] = blocks[-1] + last
    return np.array(blocks)


def _apart(block: Floats, after: Floats) -> bool:
    (at, rate), (at_after, rate_after) = block[1:] / block[0], after[1:] / after[0]
    return bool(rate < rate_after and at_after - at >= CLOSEST)


def _held_out_losses(
    fit: Callable[[Floats, Floats, Floats], Calibration],
    x: Floats,
    labels: Floats,
    weights: Floats,
    seed: int,
) -> Floats:
    # each row's logloss [B] by the function that the other folds gave
    folds = np.empty(len(x), np.int64)
    rng = np.random.default_rng(seed)
    for label in (0, 1):  # each class spread evenly, so that no fold takes one away
        of_class = rng.permutation(np.flatnonzero(labels == label))
        folds[of_class] = np.arange(len(of_class)) % FOLDS
    losses = np.empty(len(x))
    for fold in range(FOLDS):
        held = folds == fold
        found = fit(x[~held], labels[~held], weights[~held])
        chance = 1 / (1 + np.exp(-np.clip(apply(found, x[held]), -500, 500)))
        sure = np.clip(chance, SMALLEST, 1 - SMALLEST)
        losses[held] = -np.where(labels[held] == 1, np.log(sure), np.log1p(-sure))
    return losses


def as_good(losses: Floats, best: Floats, share: Floats) -> bool:
    """Whether the mean of these losses [B] lies within one standard error of that of `best` [B],
    the error being that of the rows' differences. `share` [B]: the rows' weights, of sum 1.
    """
    behind = losses - best
    mean = share @ behind
    return bool(mean <= np.sqrt((share**2) @ (behind - mean) ** 2))
