"""The figures of B rows, for any weights on them: the one definition of each, which `metrics` asks
once and the bootstrap once a draw.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.metrics.group_metrics import NAMES as GROUP_NAMES
from model.metrics.group_metrics import group_figures

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NAMES = (
    *("auc", "pr_auc", *GROUP_NAMES, "logloss", "normalised_entropy", "rmse", "mae", "r2"),
    *("brier", "calibration_ratio", "ece"),
)
BINS = 15  # of the expected calibration error
# in float32, probabilities closer to 0 or 1 than this are 0 or 1
SMALLEST = float(np.finfo(np.float32).eps)


def row_losses(y: Floats, p: Floats) -> Floats:
    """Binary cross-entropy of each row in nats, for probabilities of float32 precision; [B]."""
    sure = np.clip(p, SMALLEST, 1 - SMALLEST)
    losses: Floats = -(y * np.log(sure) + (1 - y) * np.log1p(-sure))
    return losses


def equal_bins(mass: NDArray[Any], bins: int) -> Ints:
    """The bin, from 0, of each of V values in ascending order with weights `mass` [V], such that
    the bins have about equal weight. A value is in one bin whole.
    """
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    numbers: Ints = np.minimum((middle * bins).astype(np.int64), bins - 1)
    return numbers


def ranked_auc(positive: Floats, negative: Floats) -> float:
    """The chance that a click scores above a non-click, a tie counting half, by their weights [V]
    at each of V scores in ascending order; NaN with one class.
    """
    # by sums of the same terms: with one class the other one's is exactly 0
    both = float(positive.sum()) * float(negative.sum())
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / both) if both > 0 else float("nan")


class RankedRows:
    """B rows in the order of their prediction, sorted once: other weights then cost sums and
    cumulative sums.

    `y`, `p`, `w`: labels, predictions and weights, float64 [B]. `group` [B]: rows that are ranked
    together. `task`: which figures are defined, see `metrics`.
    """

    def __init__(
        self, y: Floats, p: Floats, w: Floats, group: ArrayLike | None = None, task: str = "click"
    ) -> None:
        self._task = task
        # a group is drawn whole, so its own figures stand and only their mean is another
        grouped = group is not None and task != "regression"
        self._within = group_figures(y, p, w, group) if grouped and group is not None else None
        self._order = np.argsort(p, kind="stable")
        self._y, self._p, self._w = y[self._order], p[self._order], w[self._order]
        self._first = np.flatnonzero(np.diff(self._p, prepend=-np.inf))  # of each distinct value
        self._binary = task == "click" and bool(np.isin(y, (0.0, 1.0)).all())
        self._squares = (self._y - self._p) ** 2
        if self._binary:
            self._losses = row_losses(self._y, self._p)

    def figures(self, counts: Ints | Floats) -> dict[str, float]:
        """Every figure where each row stands `counts` [B] times; NaN where it is undefined."""
        known = dict.fromkeys(NAMES, float("nan"))
        w = self._w * counts[self._order]
        total = w.sum()
        if not total > 0:
            return known
        if self._within is not None:
            times = counts[self._within.first]
            for name in GROUP_NAMES:
                value = self._within.mean(name, times)
                known[name] = float("nan") if value is None else value
        if self._task == "ranking":
            return known
        known["rmse"] = float(np.sqrt(w @ self._squares / total))
        if self._task == "regression":
            known["mae"] = float(w @ np.abs(self._y - self._p) / total)
            variance = w @ (self._y - w @ self._y / total) ** 2
            if variance > 0:
                known["r2"] = float(1 - w @ self._squares / variance)
        if self._binary:
            known |= self._of_clicks(w, float(total))
        return known

    def _of_clicks(self, w: Floats, total: float) -> dict[str, float]:
        clicks = float(w @ self._y)
        known = {
            "logloss": float(w @ self._losses / total),
            "brier": float(w @ self._squares / total),
        }
        positive, mass = self._by_value(w * self._y), self._by_value(w)
        gaps = self._by_value(w * (self._p - self._y))
        in_bins = np.bincount(equal_bins(mass, BINS), gaps, BINS)
        known["ece"] = float(np.abs(in_bins).sum() / total)
        if clicks > 0:
            known["calibration_ratio"] = float(w @ self._p / clicks)
        negative = mass - positive
        auc = ranked_auc(positive, negative)
        if not np.isnan(auc):
            rate = clicks / total
            entropy = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
            known["normalised_entropy"] = float(known["logloss"] / entropy)
            known["auc"] = auc
            found, seen = np.cumsum(positive[::-1]), np.cumsum(mass[::-1])
            precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
            known["pr_auc"] = float(positive[::-1] @ precision / positive.sum())
        return known

    def _by_value(self, terms: Floats) -> Floats:
        return terms if len(self._first) == len(terms) else np.add.reduceat(terms, self._first)
