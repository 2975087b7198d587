"""What is exported of a net: one module a graph, all over the same parameters.

onnxruntime computes every output whether asked for or not, so /predict has a graph without terms.
"""

import math

import torch
from torch import Tensor, nn

from model.manifest import Calibration
from model.nets.net import Net


class PredictGraph(nn.Module):
    """ids int64 [B, F], values float32 [B, F] -> probability [B], logit [B].

    probability = sigmoid(scale * (logit + log(rate)) + shift), where training kept negatives with
    `rate` and the logit is the net's own.
    """

    correction: Tensor

    def __init__(self, net: Net, calibration: Calibration) -> None:
        super().__init__()
        self.net = net
        scale = calibration.scale
        offset = scale * math.log(calibration.rate) + calibration.shift
        self.register_buffer("correction", torch.tensor([scale, offset]))

    def forward(self, ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        logit = self.net(ids, values)
        return torch.sigmoid(self.correction[0] * logit + self.correction[1]), logit


class ExplainGraph(nn.Module):
    """ids, values -> linear [B, F] and, where the net has them, interaction, attention [B, P]."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        linear, *pairs = self.net.terms(ids, values)
        return linear, *(term.T for term in pairs if term is not None)
