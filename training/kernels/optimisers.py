"""What the parameters of a net are fitted by: Adam, or lazy Adam of the tables' rows."""

import torch
from torch import Tensor

from model.nets import Net
from training.config import SizedStep
from training.kernels.row_adam import Adam, RowAdam

TABLES = ("linear", "embedding")  # the parameters with a row a value


def optimiser_of(
    net: Net, step: SizedStep, learning_rate: float, shares: Tensor | None = None
) -> torch.optim.Adam:
    """Over the parameters of `net`. `shares` [V]: what share of the steps uses each row of the
    tables, for lazy Adam; None is for Adam.
    """
    groups = parameter_groups(net, step)
    if shares is None:
        return Adam(groups, lr=learning_rate, fused=True)
    tables: dict[Tensor, Tensor] = {
        p: shares for name, p in net.named_parameters() if name in TABLES
    }
    return RowAdam(groups, learning_rate, tables)


def gather_moments(optimiser: torch.optim.Optimizer) -> None:
    """Have the moments of all rows of the tables, where processes that share the fit have divided
    them.
    """
    if isinstance(optimiser, RowAdam):
        optimiser.gather()


def shares_of(uses: Tensor, rows: int, batch: int) -> Tensor:
    """What share of the steps uses each row of a table that `uses` [V] of N `rows` hold."""
    chance = (uses / rows).clamp(max=1)
    steps = -(-rows // batch)
    # a row that hardly ever comes is made up for as if it came once in the fit's first epochs
    return (1 - (1 - chance) ** min(batch, rows)).clamp_min(1 / (4 * steps))


def parameter_groups(net: Net, step: SizedStep) -> list[dict[str, object]]:
    """What the optimiser fits, each parameter with the weight decay that is its penalty.

    Parameters that the net keeps fixed are left out.
    """
    # Adam's weight_decay adds decay * x to the gradient: the derivative of decay / 2 * |x|^2
    penalties = {
        id(parameter): float(getattr(step, key))
        for key, parameters in net.penalised().items()
        for parameter in parameters
    }
    return [
        {"params": [parameter], "weight_decay": 2 * penalties.get(id(parameter), 0.0)}
        for parameter in net.parameters()
        if parameter.requires_grad
    ]
