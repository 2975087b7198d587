"""The level of a fitted net: its bias, solved for exactly after each epoch, before it is judged.

At a minimum of the logistic loss the probabilities of the rows fitted sum up to their clicks, as
nothing penalises the bias. Adam ends near it, not at it, and validation, left alone, would choose
the zigzag whose level suits the few clicks held out: on small logs the sum was found off by 3 to
6 %. Solved for before the judging, the level is no part of the choice, and a net that is kept stays
at the loss that it was kept for.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from model.nets import Net
from training.data.examples import Examples
from training.fit.loop import logits

MOST_ROWS = 200_000  # of training; more would not move the level
STEPS = 50
CLOSE_ENOUGH = 1e-10


def settle_level(net: Net, train: Examples, valid: Examples, log_rate: float = 0.0) -> float:
    """Shift the bias of a net with task click, in place, such that its probabilities sum up to the
    clicks of both parts, by weight; returns the shift.

    `log_rate`: what the logits of `valid` are to be corrected by, see `Objective`.
    """
    rows = slice(None, None, -(-len(train) // MOST_ROWS))
    some = Examples(train.ids[rows], train.values[rows], train.labels[rows], train.weights[rows])
    x = np.concatenate([logits(net, some), logits(net, valid) + log_rate]).astype(np.float64)
    labels, weights = (
        torch.cat([getattr(part, name) for part in (some, valid)]).double().numpy()
        for name in ("labels", "weights")
    )
    shift = level_of(x, labels, weights)
    with torch.no_grad():
        net.bias.add_(shift)
    return shift


def level_of(
    x: NDArray[np.float64], labels: NDArray[np.float64], weights: NDArray[np.float64]
) -> float:
    """The b of sum w sigmoid(x + b) = sum w y, by Newton's method; 0 where a class is absent, or an
    x is not finite: a net that training has ruined has no level.
    """
    clicks = weights @ labels
    if clicks <= 0 or weights @ (1 - labels) <= 0 or not np.isfinite(x).all():
        return 0.0
    b = 0.0
    for _ in range(STEPS):
        p = np.exp(-np.logaddexp(0, -(x + b)))
        # a step of more than 1 may leave the range in which Newton's method converges
        step = float(np.clip((clicks - weights @ p) / (weights @ (p * (1 - p)) + 1e-12), -1, 1))
        b += step
        if abs(step) < CLOSE_ENOUGH:
            break
    return b
