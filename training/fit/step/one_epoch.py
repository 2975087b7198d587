"""One epoch: all rows fed once, or the rest of them where it was begun before."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from model.nets import Net
from training.cores import all_cores_an_operation
from training.data.examples import EncodedRows, Fed
from training.fit.step.objective import Objective
from training.fit.step.watcher import Watcher
from training.kernels.passes import Pass

MANY = 1 << 19  # parameters of a net, whose update is worth waking other threads for


@dataclass
class SoFar:
    """How far an epoch is. `began`: torch's generator before it. `batches`: of the batches done
    their number, the sum of their rows' losses, and their rows. `progressive`: see `Progressive`.
    """

    began: Tensor
    batches: int = 0
    total: float = 0.0
    rows: int = 0
    progressive: dict[str, Any] = field(default_factory=dict)

    def add(self, loss: float, rows: int) -> None:
        """A batch is done, with this mean loss."""
        self.batches += 1
        self.total += loss * rows
        self.rows += rows

    @property
    def loss(self) -> float:
        """The mean loss of the rows."""
        return self.total / self.rows


def one_epoch(
    net: Net,
    by_pass: Pass,
    optimiser: torch.optim.Optimizer,
    size: int,
    train: EncodedRows,
    drop: Callable[[Tensor], Tensor],
    watcher: Watcher,
    objective: Objective,
    number: int = 1,
    so_far: SoFar | None = None,
    after_batch: Callable[[], None] = lambda: None,
    before_batch: Callable[[Net, Fed], None] = lambda net, fed: None,  # noqa: ARG005  of no use
) -> float:
    """Feed all rows once, in batches of `size`, in the order of epoch `number`; returns their mean
    loss. Where `so_far` says that some batches are
    done, the epoch continues after them.
    """
    net.train()
    # its operations sum nothing up; a few numbers are done before other threads are awake
    size_of_net = sum(parameter.numel() for parameter in net.parameters())
    cores_of_step = all_cores_an_operation if size_of_net >= MANY else nullcontext
    now = torch.get_rng_state()
    so_far = so_far or SoFar(now)
    torch.set_rng_state(so_far.began)
    batches = train.batches(size, number, so_far.batches)
    if so_far.batches:
        torch.set_rng_state(now)
    for fed in batches:
        before_batch(net, fed)
        optimiser.zero_grad(set_to_none=True)
        judged = objective.judged(train, fed.at)
        loss = by_pass(drop(fed.ids), fed.values, judged)
        with cores_of_step():
            optimiser.step()
        so_far.add(loss, len(fed.at))
        watcher.batch(so_far.loss)
        after_batch()
    by_pass.gather()
    return so_far.loss
