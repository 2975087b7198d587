"""What is exported of a net: one module a graph, all over the same parameters.

onnxruntime computes every output whether asked for or not, so /predict has a graph without terms.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from model.manifest import Calibration
from model.nets.net import Net, Side, field_pair_of
from model.pairs import pair_slots

ENDLESS = 1e30  # a logit never is; times a slope it still is a finite float32


class PredictGraph(nn.Module):
    """ids int64 [B, F], values float32 [B, F] -> probability [B], logit [B]; the latter alone where
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
        least[0], most[-1] = -ENDLESS, ENDLESS
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
        return self.start + (within * self.slopes).sum(1)  # (B)


class RankGraph(PredictGraph):
    """One context and its N ads: context_ids int64 [1, C], context_values float32 [1, C],
    ids int64 [N, A], values float32 [N, A] -> probability [N], logit [N].

    The same scores as PredictGraph's of the N whole rows. `candidate` [F]: which of the slots are
    the ads'; at least one is, and one is not.
    """

    def __init__(
        self, net: Net, calibration: Calibration | None, candidate: Sequence[bool]
    ) -> None:
        super().__init__(net, calibration)
        of_ads = np.array(candidate, dtype=bool)
        fields = np.array(net.slot_fields, dtype=np.int64)
        ours, theirs = fields[~of_ads], fields[of_ads]
        tables = {"cross": field_pair_of(theirs[:, None], ours[None])}
        for side, its in (("context", ours), ("ads", theirs)):
            first, second = pair_slots(len(its))
            found = (its, first, second, field_pair_of(its[first], its[second]))
            tables |= {f"{side}_{n}": table for n, table in enumerate(found)}
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(table), persistent=False)

    def forward(  # type: ignore[override]  # its rows come in two parts
        self, context_ids: Tensor, context_values: Tensor, ids: Tensor, values: Tensor
    ) -> tuple[Tensor, ...]:
        """See the class."""
        linear = self.net.linear_terms(context_ids, context_values).sum()
        linear = linear + self.net.linear_terms(ids, values).sum(1)  # (N)
        context, ads = (
            Side(i.T, x.T, *(self.get_buffer(f"{side}_{n}") for n in range(4)))
            for side, i, x in (("context", context_ids, context_values), ("ads", ids, values))
        )
        second = self.net.second_order_of(context, ads, self.get_buffer("cross"))
        return self.calibrated(self.net.bias + linear + second)


class ExplainGraph(nn.Module):
    """ids, values -> linear [B, F] and, where the net has them, interaction, attention [B, P]."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        linear, *pairs = self.net.terms(ids, values)
        return linear, *(term.T for term in pairs if term is not None)
