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

    def loss(factors: Floats) -> float:
        each = np.logaddexp(0, signs * (design @ factors + offset))
        return float(share @ each + ridge * factors @ factors)

    factors = start
    for _ in range(STEPS):
        probability = np.exp(-np.logaddexp(0, -(design @ factors + offset)))
        slope = design.T @ (share * (probability - labels)) + 2 * ridge * factors
        bend = (design * (share * probability * (1 - probability))[:, None]).T @ design
        step = np.linalg.solve(bend + (2 * ridge + LEAST_BEND) * np.eye(len(factors)), slope)
        most = loss(factors) * (1 + ROUNDING)
        while loss(factors - step) > most and np.abs(step).max() > CLOSE_ENOUGH:
            step = step / 2
        factors = factors - step
        if np.abs(step).max() <= CLOSE_ENOUGH:
            break
    return factors
