"""The bias of a fitted net, solved for exactly after each epoch, before the epoch is judged.

At a minimum of the logistic loss the probabilities of the rows fitted sum up to their clicks, as
nothing penalises the bias. Adam ends near it, not at it, and validation would choose the epoch
whose bias happens to suit the few clicks held out: on small logs the sum was found off by 3 to 6 %.
Where the bias is solved for before the judging, it is no part of the choice, and a net that is kept
stays at the loss that it was kept for.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from model.nets import Net
from training.data.examples import EncodedRows
from training.fit.newton import logistic_factors
from training.fit.step.logits import logits

MOST_ROWS = 200_000  # of training; more would not move the bias


def fit_bias(net: Net, train: EncodedRows, valid: EncodedRows, log_rate: float = 0.0) -> float:
    """Shift the bias of a net with task click, in place, such that its probabilities sum up to the
    clicks of both parts, by weight; returns the shift.

    `log_rate`: what the logits of `valid` are to be corrected by, see `Objective`.
    """
    some = train.every(-(-len(train) // MOST_ROWS))
    x = np.concatenate([logits(net, some), logits(net, valid) + log_rate]).astype(np.float64)
    labels, weights = (
        torch.cat([getattr(part, name) for part in (some, valid)]).double().numpy()
        for name in ("labels", "weights")
    )
    shift = bias_shift(x, labels, weights)
    with torch.no_grad():
        net.bias.add_(shift)
    return shift


def bias_shift(
    x: NDArray[np.float64], labels: NDArray[np.float64], weights: NDArray[np.float64]
) -> float:
    """The b of sum w sigmoid(x + b) = sum w y; 0 where a class is absent, or an x is not finite: a
    net that training has ruined has no such b.
    """
    if weights @ labels <= 0 or weights @ (1 - labels) <= 0 or not np.isfinite(x).all():
        return 0.0
    # the sums agree where the logloss is lowest
    (shift,) = logistic_factors(np.ones((len(x), 1)), np.zeros(1), labels, weights, x)
    return float(shift)
