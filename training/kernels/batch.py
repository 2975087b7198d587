"""What a pass is given of a batch, and what a kernel leaves of it: named tuples of arrays, since
these are what compiled functions take.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from training.kernels.compiled import LANES, compiled
from training.kernels.lanes import Floats

GIVEN, LOGISTIC, SQUARED = 0, 1, 2  # where the slope of a row's loss comes from


@dataclass(frozen=True)
class Judged:
    """What B rows are judged by: `loss`, of their scores [B], is that of `task` with `labels` and
    `weights` [B], see training/fit/step/objective.py.
    """

    task: str
    labels: Tensor
    weights: Tensor
    loss: Callable[[Tensor], Tensor]


class Batch(NamedTuple):
    """B rows: `ids` int64 [B, F], `values` [B, F], `labels` and `weights` [B].

    The loss of the batch is `share` times the sum of its rows' losses of the kind `loss` (see
    `slope`); `given` [B]: its slopes by the scores, where `loss` is GIVEN. `threshold` / 256
    of the elements of pair vectors are dropped, drawn by `seed`. `back`: whether the slopes are
    wanted, beside the scores.
    """

    ids: NDArray[np.int64]
    values: Floats
    labels: Floats
    weights: Floats
    given: Floats
    loss: int
    share: float
    threshold: int
    seed: int
    back: bool

    @property
    def blocks(self) -> int:
        """Of LANES rows; each is worked on by itself."""
        return -(-len(self.labels) // LANES)


class Found(NamedTuple):
    """`scores` [B], and the loss's slopes by them, by the tables' rows, each time that one is used
    (`embedding` [B, F, width], `linear` [B, F]), and by the bias a block [blocks].
    """

    scores: Floats
    embedding: Floats
    linear: Floats
    bias: Floats


class Tables(NamedTuple):
    """The parameters with a row a value, and the bias: [V, width], [V, 1], [1]."""

    embedding: Floats
    linear: Floats
    bias: Floats


@compiled
def slope(kind: int, score: float, label: float, weight: float, given: float) -> float:
    """The derivative of a row's weighted loss by its score; `given` where it depends on others."""
    if kind == LOGISTIC:
        return weight * (1 / (1 + math.exp(-score)) - label)
    if kind == SQUARED:
        return weight * 2 * (score - label)
    return given


@compiled
def settle_row(
    batch: Batch, tables: Tables, found: Found, block: int, row: int, pair_term: float
) -> float:
    """Note the row's score, and the slopes of its first-order part; returns the slope by its
    score.
    """
    slots = batch.ids.shape[1]
    score = float(tables.bias[0]) + pair_term
    for slot in range(slots):
        score += float(tables.linear[batch.ids[row, slot], 0]) * batch.values[row, slot]
    found.scores[row] = score
    of_row = slope(batch.loss, score, batch.labels[row], batch.weights[row], batch.given[row])
    by_score = batch.share * of_row
    found.bias[block] += by_score
    for slot in range(slots):
        found.linear[row, slot] = by_score * batch.values[row, slot]
    return by_score
