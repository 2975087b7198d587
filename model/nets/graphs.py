"""What is exported of a net: one module a graph, all over the same parameters.

onnxruntime computes every output whether asked for or not, so /predict has a graph without terms.
One context with its ads has two more, in model/nets/rank_graphs.py.
"""

import math

import torch
from torch import Tensor, nn

from model.manifest import Calibration
from model.nets.net import Net, close_sum

UNREACHED_LOGIT = 1e30  # a logit never is; times a slope it still is a finite float32


class PredictGraph(nn.Module):
    """ids int64 [B, F], values float32 [B, F] -> probability [B], logit [B]; only the logit where
    `calibration` is None, as the task has no probability.

    probability = sigmoid(g(logit + log(rate))), see `Calibration`; the logit is the net's own.
    """

    def __init__(self, net: Net, calibration: Calibration | None) -> None:
        super().__init__()
        self.net = net
        self.calibrate: nn.Module | None = None
        if calibration is not None:
            self.calibrate = (_Knots if calibration.knots else _Line)(calibration)

    def forward(self, ids: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return self.calibrated(self.net(ids, values))

    def calibrated(self, logit: Tensor) -> tuple[Tensor, ...]:
        """Probability, where there is one, and logit, both [B]."""
        if self.calibrate is None:
            return (logit,)
        return torch.sigmoid(self.calibrate(logit)), logit


class _Line(nn.Module):
    # scale * (logit + log(rate)) + shift

    correction: Tensor

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        scale = calibration.scale
        offset = scale * math.log(calibration.rate) + calibration.shift
        self.register_buffer("correction", torch.tensor([scale, offset]))

    def forward(self, logit: Tensor) -> Tensor:
        return self.correction[0] * logit + self.correction[1]


class _Knots(nn.Module):
    # the level at the first knot, and what each segment has risen by: no term ever falls with the
    # logit, so neither does their float32 sum, whatever is lost in it

    knots: Tensor
    least: Tensor
    most: Tensor
    slopes: Tensor
    start: Tensor

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        knots = torch.tensor(calibration.knots, dtype=torch.float64)  # (S + 1)
        levels = torch.tensor(calibration.levels, dtype=torch.float64)
        widths = knots.diff()  # (S)
        least, most = torch.zeros_like(widths), widths.clone()
        least[0], most[-1] = -UNREACHED_LOGIT, UNREACHED_LOGIT
        tables = {
            "knots": knots[:-1] - math.log(calibration.rate),
            "least": least,
            "most": most,
            "slopes": levels.diff() / widths,
            "start": levels[:1],
        }
        for name, table in tables.items():
            self.register_buffer(name, table.float())

    def forward(self, logit: Tensor) -> Tensor:
        along = logit.unsqueeze(1) - self.knots  # (B, S)
        within = torch.minimum(torch.maximum(along, self.least), self.most)
        return self.start + close_sum(within * self.slopes, 1)  # (B)


class ExplainGraph(nn.Module):
    """ids, values -> linear [B, F] and, where the net has them, interaction, attention [B, P]."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        linear, *pairs = self.net.terms(ids, values)
        return linear, *(term.T for term in pairs if term is not None)
