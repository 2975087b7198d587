"""Lazy Adam: of a table, the rows that a batch uses and no others.

Adam (Kingma & Ba, ICLR 2015) walks the whole table at every step, since the moments of a row that
is not used decay and move it on. Here they rest until the row is used again. A penalty lambda |v|^2
beside the mean loss has a slope at every step, and is made up for when the row is used: its slope
is 2 lambda v over the share of the steps that use the row, so that what is fitted stays the same.
"""

import ctypes
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from training.cores import cores
from training.kernels.compiled import can_compile, on_all_cores
from training.kernels.owned_rows import gather
from training.kernels.rows import adam_rows, first_uses

Ints = NDArray[np.int32]
HUGE_PAGE = 2 << 20  # bytes
MADV_HUGEPAGE, MADV_COLLAPSE = 14, 25  # Linux's; from 6.1 on it puts pages together at once
MOMENTS = ("exp_avg", "exp_avg_sq")  # torch's names


class FirstUses:
    """n uses of the rows `ids` of a table, or of several tables that are used alike, in as many
    `parts` by row as there are cores.
    """

    def __init__(self, ids: Tensor) -> None:
        self.ids, self.parts = ids.numpy(), cores()
        self._found: dict[int, tuple[Ints, Ints]] = {}

    def are(self, ids: Tensor) -> bool:
        """Whether they are of these very ids."""
        return self.ids.ctypes.data == ids.data_ptr() and len(self.ids) == len(ids)

    def of(self, part: int) -> tuple[Ints, Ints]:
        """Of a part, where its rows are used first, and by use where that is [n], -1 for the rows
        of others; see `first_uses`.
        """
        if part not in self._found:
            firsts, first_of = (np.empty(len(self.ids), np.int32) for _ in range(2))
            count = first_uses(self.ids, firsts, first_of, part, self.parts)
            self._found[part] = firsts[:count], first_of
        return self._found[part]


class Adam(torch.optim.Adam):
    """torch's, without the wrappers of its methods that import torch's compiler, to keep it away
    from them: 3 s of each fit. Nothing here is compiled by it.
    """

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class RowAdam(Adam):
    """torch's Adam for the parameters of `groups`, one a group, but lazy for those of `shares`: by
    a table [V, width], the share of the steps [V] that use each row.

    The state has Adam's names and shapes, so that either continues from the other's. Slopes of a
    table are sparse, a row each time it is used, or dense: then rows of zeros are not used.
    """

    def __init__(
        self, groups: list[dict[str, Any]], learning_rate: float, shares: Mapping[Tensor, Tensor]
    ) -> None:
        super().__init__(groups, lr=learning_rate, fused=True)
        self._uses: FirstUses | None = None  # of this step
        decays = {id(g["params"][0]): g["weight_decay"] for g in self.param_groups}
        self._decays = {
            table: (decays[id(table)] / share).to(table.dtype) for table, share in shares.items()
        }
        self._beside: dict[Tensor, Tensor] = {}
        self._places: dict[Tensor, list[int]] = {}

    def gather(self) -> None:
        """Have the moments of all rows, where processes that share the fit have divided them."""
        for table in self._decays:
            if table in self.state:
                gather(*(self.state[table][name].numpy() for name in MOMENTS))

    @override
    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # nobody gives one
        """See `torch.optim.Adam`."""
        for group in self.param_groups:
            (table,) = group["params"]
            if table in self._decays and table.grad is not None:
                self._update(table, group)
                table.grad = None  # Adam does not change what has no slope
        self._uses = None
        super().step()

    def _update(self, table: Tensor, group: Mapping[str, Any]) -> None:
        slopes, state = table.grad, self.state[table]
        assert slopes is not None  # noqa: S101  its caller looked
        state.setdefault("step", torch.tensor(0.0))
        state["step"] += 1
        self._lay_out(table, state)
        if slopes.is_sparse:
            ids, each = slopes._indices()[0], slopes._values()  # as they are, not summed yet
        else:
            ids = torch.nonzero((slopes != 0).any(1)).squeeze(1)
            each = slopes[ids]
        if can_compile():
            self._by_kernel(table, ids, each, group)
        else:
            self._by_torch(table, ids, each, group)

    def _lay_out(self, table: Tensor, state: dict[str, Any]) -> None:
        # the moments of a row side by side, and the decay beside those of a weight alone: a row
        # lies in fewer places of the memory, and each place costs as much as what is computed of it
        if self._places.get(table) == self._placed(table, state):
            return
        width = table.shape[1]
        beside = table.new_zeros(len(table), 2 * width if width > 1 else 4)
        for tensor in (table, beside, self._decays[table]):
            use_huge_pages(tensor)
        for number, name in enumerate(MOMENTS):
            moments = beside[:, number * width : (number + 1) * width]
            if name in state:  # of a checkpoint
                moments.copy_(state[name])
            state[name] = moments
        if width == 1:
            self._decays[table] = beside[:, 2].copy_(self._decays[table])
        self._beside[table], self._places[table] = beside, self._placed(table, state)

    def _placed(self, table: Tensor, state: Mapping[str, Any]) -> list[int]:
        return [tensor.data_ptr() for tensor in (table, *(state.get(n, table) for n in MOMENTS))]

    def _by_kernel(
        self, table: Tensor, ids: Tensor, slopes: Tensor, group: Mapping[str, Any]
    ) -> None:
        state = self.state[table]
        if self._uses is None or not self._uses.are(ids):
            self._uses = FirstUses(ids)
        uses = self._uses
        beside = self._beside[table].numpy()

        def update(part: int) -> None:
            firsts, first_of = uses.of(part)
            adam_rows(
                uses.ids,
                firsts,
                first_of,
                slopes.numpy(),
                table.detach().numpy(),
                beside,
                self._decays[table].numpy(),
                float(group["lr"]),
                group["betas"],
                group["eps"],
                float(state["step"]),
            )

        on_all_cores(update, range(uses.parts))

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


def use_huge_pages(tensor: Tensor) -> None:
    """Put a tensor's memory on pages of HUGE_PAGE, as far as it covers them. The processor knows
    where some 2,000 pages are; a table of 10^7 rows lies on 160,000 of the usual ones, and each
    row costs another search. No effect where the system has none.
    """
    madvise = getattr(ctypes.CDLL(None), "madvise", None)
    memory = tensor.untyped_storage()
    first = -(-memory.data_ptr() // HUGE_PAGE) * HUGE_PAGE
    size = (memory.data_ptr() + memory.nbytes()) // HUGE_PAGE * HUGE_PAGE - first
    if madvise is None or size <= 0:
        return
    for advice in (MADV_HUGEPAGE, MADV_COLLAPSE):
        madvise(ctypes.c_void_p(first), ctypes.c_size_t(size), advice)
