"""What stands behind the charts of a classifier: ROC, precision and recall, reliability, scores.

>>> y, p = np.array([1.0, 0.0]), np.array([0.8, 0.3])
>>> roc(y, p, np.ones(2)).y.tolist()
[0.0, 1.0, 1.0]
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.metrics.ranked_rows import Floats, equal_bins

POINTS = 200  # that a curve is drawn by
DECILES = 10
Z = 1.96  # of a 95 % interval


class Curve(NamedTuple):
    """Points of a curve, two float64 of one length."""

    x: Floats
    y: Floats


class Bin(NamedTuple):
    """Rows with their mean probability and click rate; `low`..`high` is the rate's interval."""

    rows: int
    probability: float
    rate: float
    low: float
    high: float

    @property
    def ratio(self) -> float | None:
        """Mean probability over click rate; None without a click."""
        return self.probability / self.rate if self.rate > 0 else None

    @property
    def outside(self) -> bool:
        """Whether the mean probability is one that the rate's interval excludes."""
        return not self.low <= self.probability <= self.high


def roc(y: Floats, p: Floats, w: Floats) -> Curve:
    """False positive rate against true positive rate, from the highest threshold down. Needs both
    classes.
    """
    positive, mass = _from_the_top(y, p, w)
    negative = mass - positive
    return _thinned(negative / negative[-1], positive / positive[-1])


def precision_recall(y: Floats, p: Floats, w: Floats) -> Curve:
    """Recall against precision, from the highest threshold down. Needs a click."""
    positive, mass = _from_the_top(y, p, w)
    seen = mass > 0
    return _thinned(positive[seen] / positive[-1], positive[seen] / mass[seen])


def reliability(y: Floats, p: Floats, w: Floats, bins: int = DECILES) -> list[Bin]:
    """Bins of equal weight in the order of their probability; equal probabilities share one."""
    members = _equal_bins(p, w, bins)
    return [one for rows in members if (one := rate_bin(y[rows], p[rows], w[rows]))]


def rate_bin(y: Floats, p: Floats, w: Floats) -> Bin | None:
    """Rows as one bin; None where they weigh nothing. The interval is Wilson's (1927), with as many
    rows as the weights are worth: (sum w)^2 / sum w^2.
    """
    total = w.sum()
    if not total > 0:
        return None
    rate, worth = float(w @ y / total), float(total**2 / (w @ w))
    middle = (rate + Z**2 / (2 * worth)) / (1 + Z**2 / worth)
    half = Z / (1 + Z**2 / worth) * np.sqrt(rate * (1 - rate) / worth + Z**2 / (4 * worth**2))
    low, high = max(0.0, float(middle - half)), min(1.0, float(middle + half))
    return Bin(len(y), float(w @ p / total), rate, low, high)


class TargetBin(NamedTuple):
    """Rows with their mean prediction and mean target; `low`..`high` is the latter's interval."""

    rows: int
    prediction: float
    target: float
    low: float
    high: float


def target_bins(y: Floats, p: Floats, w: Floats, bins: int = DECILES) -> list[TargetBin]:
    """Bins of equal weight in the order of their prediction, for any target. The interval is the
    mean's, two standard errors of as many rows as the weights are worth.
    """
    found = []
    for rows in _equal_bins(p, w, bins):
        mass = w[rows].sum()
        target = float(w[rows] @ y[rows] / mass)
        error = Z * float(np.sqrt(w[rows] ** 2 @ (y[rows] - target) ** 2)) / mass
        prediction = float(w[rows] @ p[rows] / mass)
        found.append(TargetBin(int(rows.sum()), prediction, target, target - error, target + error))
    return found


def _equal_bins(p: Floats, w: Floats, bins: int) -> list[NDArray[np.bool_]]:
    # rows of about equal weight in the order of p, equal ones together; none without weight
    _, group = np.unique(p, return_inverse=True)
    mass = np.bincount(group, w)
    if not mass.sum() > 0:
        return []
    of_row = equal_bins(mass, bins)[group]
    members = (of_row == number for number in range(bins))
    return [rows for rows in members if w[rows].sum() > 0]


def histogram(p: Floats, w: Floats, edges: Floats) -> Floats:
    """Share of the weight in each bin of `edges` [n + 1]; what lies above is in the last."""
    counts, _ = np.histogram(np.minimum(p, edges[-1]), edges, weights=w)
    shares: NDArray[np.float64] = counts / max(w.sum(), 1e-300)
    return shares


def _from_the_top(y: Floats, p: Floats, w: Floats) -> tuple[Floats, Floats]:
    # weight of the clicks, and of all rows, at or above each distinct probability; 0 first
    _, group = np.unique(-p, return_inverse=True)
    sums = (np.cumsum(np.bincount(group, terms)) for terms in (w * y, w))
    positive, mass = (np.concatenate([[0.0], one]) for one in sums)
    return positive, mass


def _thinned(x: Floats, y: Floats) -> Curve:
    # evenly along the curve, not along the rows: most rows lie where it is flat
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    stops = np.linspace(0, along[-1], POINTS)
    keep = np.unique(np.concatenate([[0, len(x) - 1], np.searchsorted(along[:-1], stops)]))
    keep = keep[keep < len(x)]
    return Curve(x[keep], y[keep])
