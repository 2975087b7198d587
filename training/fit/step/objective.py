"""What a task's nets are fitted by, and judged by on the rows held out: the epoch with the lowest
criterion there is kept.

task        loss of a batch                    criterion on valid
click       binary cross-entropy               logloss of the probabilities, corrected for sampling
regression  squared                            mean squared error
ranking     pairwise or listwise, see losses   the same loss
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.errors import ConfigError
from model.metrics.group_metrics import group_figures
from model.metrics.metrics import auc, logloss
from model.metrics.ranked_rows import row_losses
from model.schema import Schema
from training.config import Config
from training.data.examples import EncodedRows
from training.fit.step import losses
from training.kernels.batch import Judged


class Criterion(NamedTuple):
    """The criterion on the rows held out, and their AUC: GAUC for ranking, None for regression."""

    loss: float
    auc: float | None


@dataclass(frozen=True)
class Objective:
    """`ranking`: "pairwise" or "listwise". `log_rate`: of the negatives that training kept, what a
    logit is to be corrected by before it is judged.
    """

    task: str = "click"
    ranking: str = "pairwise"
    log_rate: float = 0.0

    @property
    def criterion(self) -> str:
        """What a fit is judged by, as people call it."""
        ranking = f"{self.ranking} loss"
        return {"click": "logloss", "regression": "mean squared error"}.get(self.task, ranking)

    def start(self, train: EncodedRows) -> float:
        """The bias to begin with: what the best constant would be."""
        if self.task == "ranking":
            return 0.0  # no order tells of it
        mean = float((train.labels * train.weights).mean())
        return float(np.log(mean / (1 - mean))) if self.task == "click" else mean

    def loss(self, scores: Tensor, rows: EncodedRows, at: Tensor) -> Tensor:
        """Of the `scores` of the rows `at`, which must be whole groups, one behind the other, for
        task ranking.
        """
        labels, weights = rows.labels[at], rows.weights[at]
        if self.task == "click":
            return losses.logistic(scores, labels, weights)
        if self.task == "regression":
            return losses.squared(scores, labels, weights)
        assert rows.groups is not None  # noqa: S101  whoever ranks gives them
        return losses.RANKING[self.ranking](scores, labels, weights, rows.groups[at])

    def judged(self, rows: EncodedRows, at: Tensor) -> Judged:
        """What a pass over the rows `at` needs to know of `loss`."""
        of_scores = partial(self.loss, rows=rows, at=at)
        return Judged(self.task, rows.labels[at], rows.weights[at], of_scores)

    def judge(self, scores: NDArray[np.float32], valid: EncodedRows) -> Criterion:
        """The criterion of scores [N]."""
        labels, weights = valid.labels.double().numpy(), valid.weights.double().numpy()
        if self.task == "click":
            corrected = torch.from_numpy(scores).double() + self.log_rate
            probabilities = corrected.sigmoid().numpy()
            loss = logloss(labels, probabilities, weights)
            return Criterion(loss, auc(labels, probabilities, weights))
        if self.task == "regression":
            return Criterion(float((weights * (scores - labels) ** 2).sum() / weights.sum()), None)
        assert valid.groups is not None  # noqa: S101  whoever ranks gives them
        groups = valid.groups[torch.arange(len(valid))]
        order = torch.argsort(groups, stable=True)
        loss = float(self.loss(torch.from_numpy(scores)[order], valid, order))
        figures = group_figures(labels, scores, weights, groups.numpy())
        return Criterion(loss, figures.mean("gauc"))

    def each_row(
        self, scores: NDArray[np.float32], valid: EncodedRows
    ) -> NDArray[np.float64] | None:
        """What the criterion of scores [N] is the weighted mean of, [N]; None for task ranking,
        where whole groups have a loss.
        """
        labels = valid.labels.double().numpy()
        if self.task == "click":
            corrected = torch.from_numpy(scores).double() + self.log_rate
            return row_losses(labels, corrected.sigmoid().numpy())
        if self.task == "regression":
            squares: NDArray[np.float64] = (scores - labels) ** 2
            return squares
        return None


CLICK = Objective()


def objective_of(config: Config, schema: Schema) -> Objective:
    """What the schema's task is fitted by.

    Raises:
        ConfigError: a rate of negatives for a task that has none.
    """
    rate = config.negatives_rate * config.negatives_kept
    if schema.task != "click" and rate != 1:
        raise ConfigError(f"a rate of negatives is for task click, and this is {schema.task}")
    return Objective(schema.task, config.loss, float(np.log(rate)))
