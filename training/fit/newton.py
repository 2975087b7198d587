"""Logistic regression of a few factors, by Newton's method: finds calibrations and biases."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = 100
CLOSE_ENOUGH = 1e-10
LEAST_BEND = 1e-12  # keeps a step finite where all probabilities are 0 or 1
ROUNDING = 1e-12  # the share of a loss that tells nothing of a gain


def logistic_factors(
    design: Floats,
    start: Floats,
    labels: Floats,
    weights: Floats,
    offset: Floats | float = 0.0,
    ridge: float = 0.0,
) -> Floats:
    """The factors [D] of the columns of `design` [B, D] with the lowest mean logloss.

    The probabilities are sigmoid(design @ factors + offset); `ridge` times the squared factors is
    added to their weighted mean logloss. Newton's method begins at `start`, and halves a step until
    it gains.
    """
    signs = 1 - 2 * labels
    share = weights / weights.sum()

    # einsum: products of matrices divide their sums among as many threads as there are cores
    def on_design(factors: Floats) -> Floats:
        found: Floats = np.einsum("bd,d->b", design, factors)
        return found

    def loss(factors: Floats) -> float:
        each = np.logaddexp(0, signs * (on_design(factors) + offset))
        return float(np.einsum("b,b", share, each) + ridge * factors @ factors)

    factors = start
    for _ in range(STEPS):
        probability = np.exp(-np.logaddexp(0, -(on_design(factors) + offset)))
        slope = np.einsum("bd,b->d", design, share * (probability - labels)) + 2 * ridge * factors
        bends = share * probability * (1 - probability)
        bend = np.einsum("bd,b,be->de", design, bends, design)
        step = np.linalg.solve(bend + (2 * ridge + LEAST_BEND) * np.eye(len(factors)), slope)
        most = loss(factors) * (1 + ROUNDING)
        while loss(factors - step) > most and np.abs(step).max() > CLOSE_ENOUGH:
            step = step / 2
        factors = factors - step
        if np.abs(step).max() <= CLOSE_ENOUGH:
            break
    return factors
