"""How good a set of predictions is. Every figure honours sample weights; one that the data
leave undefined (AUC with one class) is None, never NaN.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.metrics.group_metrics import NAMES as GROUP_NAMES
from model.metrics.group_metrics import group_figures

Floats = NDArray[np.float64]
Metrics = dict[str, float | int | None]

NAMES = (
    *("auc", "pr_auc", *GROUP_NAMES, "logloss", "normalised_entropy", "rmse", "mae", "r2"),
    *("brier", "calibration_ratio", "ece"),
)
JUDGED_BY = {"click": "logloss", "regression": "rmse", "ranking": "gauc"}  # a task's one figure
BINS = 15
# float32 cannot tell probabilities closer to 0 or 1 than this from 0 and 1
SMALLEST = float(np.finfo(np.float32).eps)


def metrics(
    labels: ArrayLike,
    predictions: ArrayLike,
    weights: ArrayLike | None = None,
    group: ArrayLike | None = None,
    task: str = "click",
) -> Metrics:
    """All figures of one data set, each over the B rows: of probabilities, or of the scores of
    another task.

    `rows` and `positives` are counts of rows, whatever their weights. `pr_auc` is average
    precision, `logloss` is in nats a row, `normalised_entropy` is logloss over that of always
    predicting the click rate, `brier` the mean and `rmse` the root mean squared distance to the 0/1
    label, `calibration_ratio` the mean probability over the click rate. Labels other than 0 and 1
    leave these undefined. GAUC and NDCG need a `group` [B], see `group_metrics`.

    click: all but `mae` and `r2`. regression: `rmse`, `mae` and `r2` (1 - squared error over the
    variance) alone. ranking: those within groups alone, as its scores say nothing across them.

    Raises:
        ValueError: lengths that differ, a value that is not finite, a negative weight.
    """
    y, p = _floats(labels), _floats(predictions)
    w = np.ones(len(y)) if weights is None else _floats(weights)
    if not len(y) == len(p) == len(w):
        raise ValueError(f"{len(y)} labels, {len(p)} predictions, {len(w)} weights")
    if group is not None and len(np.asarray(group)) != len(y):
        raise ValueError(f"{len(y)} labels, {len(np.asarray(group))} groups")
    if (w < 0).any():
        raise ValueError("a negative weight")
    binary = bool(np.isin(y, (0.0, 1.0)).all())
    defined = w.sum() > 0
    known: Metrics = {}
    if defined and task != "ranking":
        known["rmse"] = float(np.sqrt(_mean((y - p) ** 2, w)))
    if defined and task == "regression":
        known |= {"mae": _mean(np.abs(y - p), w), "r2": r2(y, p, w)}
    if defined and group is not None and task != "regression":
        within = group_figures(y, p, w, group)
        known |= {name: within.mean(name) for name in GROUP_NAMES}
    if defined and binary and task == "click":
        known |= {
            "auc": auc(y, p, w),
            "pr_auc": pr_auc(y, p, w),
            "logloss": logloss(y, p, w),
            "normalised_entropy": normalised_entropy(y, p, w),
            "brier": _mean((y - p) ** 2, w),
            "calibration_ratio": calibration_ratio(y, p, w),
            "ece": ece(y, p, w),
        }
    return {
        "rows": len(y),
        "positives": int((y == 1).sum()) if binary and task != "regression" else None,
        **{name: known.get(name) for name in NAMES},
    }


def is_loss(name: str) -> bool:
    """Whether less of a figure of JUDGED_BY is better."""
    return name != "gauc"


def r2(y: Floats, p: Floats, w: Floats) -> float | None:
    """Share of the targets' variance that the predictions explain; None where they have none."""
    variance = _mean((y - _mean(y, w)) ** 2, w)
    return 1 - _mean((y - p) ** 2, w) / variance if variance > 0 else None


def auc(y: Floats, p: Floats, w: Floats) -> float | None:
    """The weighted chance that a click scores above a non-click, a tie counting half; None with
    one class.
    """
    _, group = np.unique(p, return_inverse=True)
    positive = np.bincount(group, w * y)
    negative = np.bincount(group, w * (1 - y))
    total = positive.sum() * negative.sum()
    if not total > 0:
        return None
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / total)


def pr_auc(y: Floats, p: Floats, w: Floats) -> float | None:
    """Average precision: the precision at each threshold, weighted by the share of clicks found
    there. Rows of one probability are found together, whatever their order; None with one class.
    """
    _, group = np.unique(-p, return_inverse=True)  # highest first
    positive, mass = np.bincount(group, w * y), np.bincount(group, w)
    clicks = positive.sum()
    if not 0 < clicks < mass.sum():
        return None
    found, seen = np.cumsum(positive), np.cumsum(mass)
    any_seen = seen > 0  # the first rows may all have weight 0
    return float((positive[any_seen] * found[any_seen] / seen[any_seen]).sum() / clicks)


def logloss(y: Floats, p: Floats, w: Floats) -> float:
    """Weighted mean binary cross-entropy in nats, for probabilities of float32 precision."""
    sure = np.clip(p, SMALLEST, 1 - SMALLEST)
    return _mean(-(y * np.log(sure) + (1 - y) * np.log1p(-sure)), w)


def normalised_entropy(y: Floats, p: Floats, w: Floats) -> float | None:
    """Logloss over the entropy of the click rate: below 1 is better than a constant; None with one
    class.
    """
    rate = _mean(y, w)
    if not 0 < rate < 1:
        return None
    return logloss(y, p, w) / float(-(rate * np.log(rate) + (1 - rate) * np.log1p(-rate)))


def calibration_ratio(y: Floats, p: Floats, w: Floats) -> float | None:
    """Mean probability over click rate, 1 being right; None without a click."""
    rate = _mean(y, w)
    return _mean(p, w) / rate if rate > 0 else None


def ece(y: Floats, p: Floats, w: Floats, bins: int = BINS) -> float:
    """Expected calibration error: the mean distance of click rate and probability within bins of
    equal weight. Equal probabilities share a bin, so that the order of the rows cannot matter.
    """
    _, group = np.unique(p, return_inverse=True)
    mass = np.bincount(group, w)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    bin_of = np.minimum((middle * bins).astype(np.int64), bins - 1)[group]
    return float(np.abs(np.bincount(bin_of, w * (p - y), bins)).sum() / w.sum())


def _mean(values: Floats, w: Floats) -> float:
    return float((values * w).sum() / w.sum())


def _floats(values: Any) -> Floats:
    floats = np.asarray(values, dtype=np.float64)
    if floats.ndim != 1 or not np.isfinite(floats).all():
        raise ValueError("labels, probabilities and weights are vectors of finite numbers")
    return floats
