"""The best epoch of a step so far, which the net is put back to."""

import copy

import numpy as np
from torch import Tensor
from torch.optim import Optimizer

from model.nets import Net
from training.data.examples import EncodedRows
from training.fit.step.logits import logits
from training.fit.step.objective import Objective
from training.kernels.optimisers import gather_moments
from training.state.adam_moments import Moments


class BestEpoch:
    """The parameters of `net` at its lowest criterion on `valid`, and the criterion.

    The state before the first epoch counts as epoch 0. `without_gain`: how many epochs have passed
    since, those that diverged among them. `moments`: Adam's of that epoch, where they are kept.
    """

    def __init__(
        self, net: Net, valid: EncodedRows, objective: Objective, moments: Moments | None
    ) -> None:
        self._net = net
        start = logits(net, valid)
        # any finite loss is a gain over one that is not
        self.loss = objective.judge(start, valid).loss if np.isfinite(start).all() else np.inf
        self.state: dict[str, Tensor] = copy.deepcopy(net.state_dict())
        self.without_gain = 0
        self.moments = moments

    def judge(self, loss: float, optimiser: Optimizer) -> bool:
        """Keep the present epoch, of this criterion, if it is better; returns whether it is."""
        if not loss < self.loss:
            self.without_gain += 1
            return False
        self.loss, self.state = loss, copy.deepcopy(self._net.state_dict())
        self.without_gain = 0
        if self.moments is not None:
            gather_moments(optimiser)
            self.moments.capture(self._net, optimiser)
        return True

    def put_back(self) -> None:
        """Set the net to the best epoch."""
        self._net.load_state_dict(self.state)
