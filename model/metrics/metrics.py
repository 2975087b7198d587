"""How good a set of predictions is. Every figure honours sample weights; one that the data
leave undefined (AUC with one class) is None, never NaN.

>>> found = metrics([1, 0, 1, 0], [0.9, 0.2, 0.6, 0.4])
>>> found["auc"], round(found["logloss"], 4)
(1.0, 0.3375)
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from model.metrics.ranked_rows import NAMES, Floats, RankedRows, row_losses

Metrics = dict[str, float | int | None]

JUDGED_BY = {"click": "logloss", "regression": "rmse", "ranking": "gauc"}  # a task's one figure
RANKED_BY = {"click": "auc", "ranking": "gauc"}  # what no level of scores moves; chance is .5


def metrics(
    labels: ArrayLike,
    predictions: ArrayLike,
    weights: ArrayLike | None = None,
    group: ArrayLike | None = None,
    task: str = "click",
) -> Metrics:
    """All figures of one data set, each over the B rows: of probabilities, or of the scores of
    another task.

    `rows` and `positives` are counts of rows, whatever their weights. `auc` is the weighted chance
    that a click scores above a non-click, a tie counting half. `pr_auc` is average precision: the
    precision at each threshold, weighted by the share of clicks found there, rows of one
    probability being found together. `logloss` is in nats a row, `normalised_entropy` is logloss
    over that of always predicting the click rate, `brier` the mean and `rmse` the root mean squared
    distance to the 0/1 label, `calibration_ratio` the mean probability over the click rate, `ece`
    the mean distance of click rate and probability within bins of equal weight. Labels other than 0
    and 1 leave these undefined. GAUC and NDCG need a `group` [B], see `group_metrics`.

    click: all but `mae` and `r2`. regression: only `rmse`, `mae` and `r2` (1 - squared error over
    the variance). ranking: only those within groups, as its scores say nothing across them.

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
    found = RankedRows(y, p, w, group, task).figures(np.ones(len(y)))
    return {
        "rows": len(y),
        "positives": int((y == 1).sum()) if binary and task != "regression" else None,
        **{name: None if np.isnan(found[name]) else found[name] for name in NAMES},
    }


def is_loss(name: str) -> bool:
    """Whether less of a figure of JUDGED_BY is better."""
    return name != "gauc"


def auc(y: Floats, p: Floats, w: Floats) -> float | None:
    """The `auc` of `metrics`; None with one class."""
    found = RankedRows(y, p, w).figures(np.ones(len(y)))["auc"]
    return None if np.isnan(found) else found


def logloss(y: Floats, p: Floats, w: Floats) -> float:
    """The `logloss` of `metrics`."""
    return float(w @ row_losses(y, p) / w.sum())


def _floats(values: Any) -> Floats:
    floats = np.asarray(values, dtype=np.float64)
    if floats.ndim != 1 or not np.isfinite(floats).all():
        raise ValueError("labels, probabilities and weights are vectors of finite numbers")
    return floats
