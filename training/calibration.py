"""Platt scaling (Platt, 1999): the line that makes honest probabilities of logits."""

import numpy as np
from numpy.typing import NDArray

from model.manifest import Calibration

Floats = NDArray[np.float64]

STEPS = 100
CLOSE_ENOUGH = 1e-9
# keeps the line finite where a few held-out rows happen to be perfectly separated
RIDGE = 1e-6


def fit_calibration(logits: Floats, labels: Floats, weights: Floats) -> Calibration:
    """scale and shift of sigmoid(scale * logit + shift) with the lowest logloss on B rows held out.

    By Newton's method from (1, 0), a step halved until it gains. A scale that is not positive would
    turn the ranking round; then, and with one class alone, the logits stay as they are.
    """
    if len(np.unique(labels)) < 2:
        return Calibration()
    design = np.stack([logits, np.ones_like(logits)], axis=1)  # (B, 2)
    signs = 1 - 2 * labels

    def loss(line: Floats) -> float:
        each = np.logaddexp(0, signs * (design @ line))
        return float(weights @ each / weights.sum() + RIDGE * line @ line)

    line = np.array([1.0, 0.0])
    for _ in range(STEPS):
        probability = np.exp(-np.logaddexp(0, -(design @ line)))
        share = weights / weights.sum()
        slope = design.T @ (share * (probability - labels)) + 2 * RIDGE * line
        bend = (design * (share * probability * (1 - probability))[:, None]).T @ design
        step = np.linalg.solve(bend + 2 * RIDGE * np.eye(2), slope)
        while loss(line - step) > loss(line) and np.abs(step).max() > CLOSE_ENOUGH:
            step /= 2
        line = line - step
        if np.abs(step).max() <= CLOSE_ENOUGH:
            break
    scale, shift = map(float, line)
    return Calibration(scale=scale, shift=shift) if scale > 0 else Calibration()
