"""Lazy Adam: of a table, the rows that a batch uses and no others.

Adam (Kingma & Ba, ICLR 2015) walks the whole table at every step, since the moments of a row that
is not used decay and move it on. Here they rest until the row is used again. A penalty lambda |v|^2
beside the mean loss has a slope at every step, and is made up for when the row is used: its slope
is 2 lambda v over the share of the steps that use the row, so that what is fitted stays the same.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from training.kernels.compiled import can_compile, on_all_cores
from training.kernels.owned_rows import gather
from training.kernels.rows import adam_rows


class RowAdam(torch.optim.Adam):
    """torch's Adam for the parameters of `groups`, one a group, but lazy for those of `shares`: by
    a table [V, width], the share of the steps [V] that use each row.

    The state has Adam's names and shapes, so that either continues from the other's. Slopes of a
    table are sparse, a row each time it is used, or dense: then rows of zeros are not used.
    """

    def __init__(
        self, groups: list[dict[str, Any]], learning_rate: float, shares: Mapping[Tensor, Tensor]
    ) -> None:
        super().__init__(groups, lr=learning_rate, fused=True)
        decays = {id(g["params"][0]): g["weight_decay"] for g in self.param_groups}
        self._decays = {
            table: (decays[id(table)] / share).to(table.dtype) for table, share in shares.items()
        }

    def gather(self) -> None:
        """Have the moments of all rows, where processes that share the fit have divided them."""
        for table in self._decays:
            if table in self.state:
                gather(*(self.state[table][name].numpy() for name in ("exp_avg", "exp_avg_sq")))

    @override
    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # nobody gives one
        """See `torch.optim.Adam`."""
        for group in self.param_groups:
            (table,) = group["params"]
            if table in self._decays and table.grad is not None:
                self._update(table, group)
                table.grad = None  # Adam does not change what has no slope
        super().step()

    def _update(self, table: Tensor, group: Mapping[str, Any]) -> None:
        slopes, state = table.grad, self.state[table]
        assert slopes is not None  # noqa: S101  its caller looked
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
        state["step"] += 1
        if slopes.is_sparse:
            ids, each = slopes._indices()[0], slopes._values()  # as they are, not summed yet
        else:
            ids = torch.nonzero((slopes != 0).any(1)).squeeze(1)
            each = slopes[ids]
        if can_compile():
            self._by_kernel(table, ids, each, group)
        else:
            self._by_torch(table, ids, each, group)

    def _by_kernel(
        self, table: Tensor, ids: Tensor, slopes: Tensor, group: Mapping[str, Any]
    ) -> None:
        state, parts = self.state[table], torch.get_num_threads()

        def update(part: int) -> None:
            adam_rows(
                ids.numpy(),
                slopes.numpy(),
                table.detach().numpy(),
                state["exp_avg"].numpy(),
                state["exp_avg_sq"].numpy(),
                self._decays[table].numpy(),
                float(group["lr"]),
                group["betas"],
                group["eps"],
                float(state["step"]),
                part,
                parts,
            )

        on_all_cores(update, range(parts))

    def _by_torch(
        self, table: Tensor, ids: Tensor, slopes: Tensor, group: Mapping[str, Any]
    ) -> None:
        state, (first, second) = self.state[table], group["betas"]
        rows, places = torch.unique(ids, return_inverse=True)
        sums = slopes.new_zeros(len(rows), slopes.shape[1]).index_add_(0, places, slopes)
        used = (sums != 0).any(1)
        rows, sums = rows[used], sums[used]
        slope = sums + self._decays[table][rows].unsqueeze(1) * table[rows]
        mean = state["exp_avg"][rows].lerp(slope, 1 - first)
        square = state["exp_avg_sq"][rows].lerp(slope.square(), 1 - second)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = mean, square
        step = float(state["step"])
        root = square.sqrt() / (1 - second**step) ** 0.5 + group["eps"]
        table[rows] -= group["lr"] / (1 - first**step) * mean / root
