"""A net's forward and backward pass over a batch: by its kernel, or by autograd, which says what is
right. Either leaves the slopes of the loss in `grad`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.nets import AFM, FFM, FM, AFMPlus, FwFM, Net
from model.nets.net import EmbeddingNet, PairNet, field_pairs
from training import group
from training.cores import all_cores_an_operation, cores
from training.device import IN_MEMORY, SEEDS, Device
from training.kernels.attention import Attention, attention_blocks
from training.kernels.batch import GIVEN, LOGISTIC, SQUARED, Batch, Found, Judged, Tables
from training.kernels.block import Pairs, new_work
from training.kernels.compiled import can_compile, on_all_cores
from training.kernels.lanes import UNROLLED, Floats
from training.kernels.owned_rows import Uses, fetch, gather, handed_over, row_ends, uses_of
from training.kernels.products import pooled_blocks, product_blocks
from training.kernels.rows import add_rows

LOSSES = {"click": LOGISTIC, "regression": SQUARED}  # of a row by itself


class Pass(Protocol):
    """Forward and backward over a net."""

    def __call__(self, ids: Tensor, values: Tensor, judged: Judged) -> float:
        """The loss of rows `ids`, `values` [B, F]. Dropout is drawn by torch's generator."""

    def gather(self) -> None:
        """Have the whole tables, where processes that share the fit have divided them."""


@dataclass(frozen=True)
class PlainPass:
    """By autograd, where the net is."""

    net: Net
    device: Device = IN_MEMORY

    def __call__(self, ids: Tensor, values: Tensor, judged: Judged) -> float:
        """See `Pass`."""
        self.device.draw_seed()
        with all_cores_an_operation():
            with self.device.precision():
                scores = self.net(*self.device.here(ids, values))
            loss = judged.loss(scores.to("cpu", self.net.bias.dtype))
            loss.backward()
        return float(loss.detach())

    def gather(self) -> None:
        """See `Pass`."""


class KernelPass(ABC):
    """By a kernel. `row_wise`: whether the slopes of the tables are left as sparse tensors, a row
    each time that one is used, duplicates and all, and processes that share the fit divide the
    tables (training/kernels/owned_rows.py); else as tensors of the tables' shapes.
    """

    def __init__(self, net: EmbeddingNet, *, row_wise: bool) -> None:
        self.net = net
        self.row_wise = row_wise

    @abstractmethod
    def blocks(self, batch: Batch, tables: Tables, found: Found) -> Callable[[int, int], None]:
        """What works on the blocks from one to before another."""

    @abstractmethod
    def by_block(self) -> Sequence[Floats]:
        """The last batch's slopes by what is no table, a block each [blocks, ...]."""

    @abstractmethod
    def slopes(self) -> dict[str, Floats]:
        """By the parameters that are no tables, of the last batch."""

    def __call__(self, ids: Tensor, values: Tensor, judged: Judged) -> float:
        """See `Pass`."""
        dtype = self.net.bias.dtype
        fed = ids.contiguous().numpy(), values.to(dtype).contiguous().numpy()
        uses = uses_of(fed[0]) if self.row_wise else None
        if uses is not None:
            fetch(uses, _array(self.net.embedding), _array(self.net.linear))
        labels, weights = (each.to(dtype).numpy() for each in (judged.labels, judged.weights))
        loss = LOSSES.get(judged.task, GIVEN)
        given, share = np.zeros_like(labels), 1 / len(labels)
        threshold = self.net.dropout.threshold
        drawn = threshold, int(torch.randint(SEEDS, ())) if threshold else 0
        if loss == GIVEN:  # the slopes of a group's rows are known when all have scores
            batch = Batch(*fed, labels, weights, given, loss, share, *drawn, back=False)
            scores = torch.from_numpy(self._run(batch).scores).requires_grad_()
            (slopes,) = torch.autograd.grad(judged.loss(scores), scores)
            given, share = slopes.numpy(), 1.0
        batch = Batch(*fed, labels, weights, given, loss, share, *drawn, back=True)
        found = self._run(batch)
        self._leave(batch, found, uses)
        with torch.no_grad():
            return float(judged.loss(torch.from_numpy(found.scores)))

    def gather(self) -> None:
        """See `Pass`."""
        if self.row_wise:
            gather(_array(self.net.embedding), _array(self.net.linear))

    def _run(self, batch: Batch) -> Found:
        tables = Tables(*map(_array, (self.net.embedding, self.net.linear, self.net.bias)))
        rows, slots = batch.ids.shape
        dtype, width = tables.embedding.dtype, self.net.width
        shape = (rows, slots, width) if batch.back else (0, 0, 0)
        found = Found(
            np.empty(rows, dtype),
            np.empty(shape, dtype),
            np.empty((rows, slots), dtype),
            np.zeros(batch.blocks, dtype),
        )
        work = self.blocks(batch, tables, found)
        shares = group.ends(batch.blocks)
        first, last = group.own(shares)
        parts = max(min(cores(), last - first), 1)
        ends = [first + (last - first) * part // parts for part in range(parts + 1)]
        on_all_cores(lambda part: work(ends[part], ends[part + 1]), range(parts))
        of_rows = [found.scores]
        if batch.back and not self.row_wise:
            of_rows += [found.linear, found.embedding]
        by_block = [(each, shares) for each in (found.bias, *self.by_block())]
        group.complete([*by_block, *((each, row_ends(rows)) for each in of_rows)])
        return found

    def _leave(self, batch: Batch, found: Found, uses: Uses | None) -> None:
        ids = batch.ids.reshape(-1)
        by_use = [found.embedding.reshape(len(ids), -1), found.linear.reshape(len(ids), 1)]
        if uses is not None:
            ids, by_use = uses.owned, list(handed_over(uses, *by_use))
        self._leave_table(self.net.embedding, ids, by_use[0])
        self._leave_table(self.net.linear, ids, by_use[1])
        slopes = self.slopes() | {"bias": found.bias.sum(keepdims=True)}
        for name, slope in slopes.items():
            parameter = self.net.get_parameter(name)
            if parameter.requires_grad:
                parameter.grad = torch.from_numpy(slope.astype(_array(parameter).dtype))

    def _leave_table(self, table: Tensor, ids: NDArray[np.int64], slopes: Floats) -> None:
        if self.row_wise:
            at = torch.from_numpy(ids)[None]
            table.grad = torch.sparse_coo_tensor(
                at, torch.from_numpy(slopes), table.shape, check_invariants=False
            )
            return
        summed = np.zeros(table.shape, slopes.dtype)
        add_rows(ids, slopes, summed)
        table.grad = torch.from_numpy(summed)


class AttentionPass(KernelPass):
    """Of AFM and afm+."""

    def __init__(self, net: AFM, *, row_wise: bool) -> None:
        super().__init__(net, row_wise=row_wise)
        self.attention_net = net
        self.by_net: Attention | None = None

    def blocks(self, batch: Batch, tables: Tables, found: Found) -> Callable[[int, int], None]:
        """See `KernelPass`."""
        net = self.attention_net
        weight, bias = map(_array, (net.attention.weight, net.attention.bias))
        size, dtype = weight.shape[1], weight.dtype
        plus = isinstance(net, AFMPlus)
        fields = field_pairs(net.fields)
        given = Attention(
            padded(weight),
            padded(bias),
            padded(_array(net.h)),
            padded(_array(net.p)),
            _array(net.field_weights) if isinstance(net, AFMPlus) else np.ones(fields, dtype),
            _array(net.field_scores) if isinstance(net, AFMPlus) else np.zeros(fields, dtype),
        )
        self.by_net = Attention(
            *(np.zeros((batch.blocks, *part.shape), part.dtype) for part in given)
        )
        first_second = net.first.numpy(), net.second.numpy()
        pairs = Pairs(*first_second, *first_second, net.field_pair.numpy(), size)
        by_net = self.by_net

        def work(first: int, last: int) -> None:
            rows = given.weight.shape
            own = new_work(batch.ids.shape[1], 1, len(pairs.first), rows[1], rows[0], dtype)
            attention_blocks(first, last, own, batch, tables, given, pairs, found, by_net, plus)

        return work

    def by_block(self) -> Sequence[Floats]:
        """See `KernelPass`."""
        return self.by_net or ()

    def slopes(self) -> dict[str, Floats]:
        """See `KernelPass`."""
        assert self.by_net is not None  # noqa: S101  its caller ran
        hidden, size = self.attention_net.attention.weight.shape
        weight, bias, h, p, r, u = (part.sum(0) for part in self.by_net)
        found = {
            "attention.weight": weight[:hidden, :size],
            "attention.bias": bias[:hidden],
            "h": h[:hidden],
            "p": p[:size],
        }
        if isinstance(self.attention_net, AFMPlus):
            found |= {"field_weights": r, "field_scores": u}
        return found


class ProductPass(KernelPass):
    """Of FM, FwFM and FFM."""

    def __init__(self, net: PairNet, *, row_wise: bool) -> None:
        super().__init__(net, row_wise=row_wise)
        self.pair_net = net
        self.by_weights: Floats | None = None

    def blocks(self, batch: Batch, tables: Tables, found: Found) -> Callable[[int, int], None]:
        """See `KernelPass`."""
        net, dtype = self.pair_net, tables.embedding.dtype
        weights = np.ones(field_pairs(net.fields), dtype)
        if isinstance(net, FwFM):
            weights = _array(net.field_weights)
        by_weights = self.by_weights = np.zeros((batch.blocks, len(weights)), dtype)
        if isinstance(net, FM) and not batch.threshold:
            return lambda first, last: pooled_blocks(first, last, batch, tables, found)
        first_second = net.first.numpy(), net.second.numpy()
        left_right, vectors, size = first_second, 1, net.width
        if isinstance(net, FFM):
            left_right = net.first_for_second.numpy(), net.second_for_first.numpy()
            vectors, size = net.fields, net.settings.ffm_embedding
        pairs = Pairs(*first_second, *left_right, net.field_pair.numpy(), size)
        ones = padded(np.ones(size, dtype))

        def work(first: int, last: int) -> None:
            shape = batch.ids.shape[1], vectors, len(pairs.first), len(ones)
            own = new_work(*shape, 0, dtype)
            product_blocks(first, last, own, batch, tables, weights, ones, pairs, found, by_weights)

        return work

    def by_block(self) -> Sequence[Floats]:
        """See `KernelPass`."""
        return () if self.by_weights is None else (self.by_weights,)

    def slopes(self) -> dict[str, Floats]:
        """See `KernelPass`."""
        assert self.by_weights is not None  # noqa: S101  its caller ran
        if not isinstance(self.pair_net, FwFM):
            return {}
        return {"field_weights": self.by_weights.sum(0)}


KERNELS: dict[type[Net], Any] = {
    AFM: AttentionPass,
    AFMPlus: AttentionPass,
    FM: ProductPass,
    FwFM: ProductPass,
    FFM: ProductPass,
}


def pass_of(
    net: Net, *, kernels: bool = True, row_wise: bool = False, device: Device = IN_MEMORY
) -> Pass:
    """The net's pass by a kernel, if `kernels` are wanted, it has one, there is a Numba to compile
    it, and the net is in memory; else by autograd, whose slopes are never `row_wise`.
    """
    kernel = KERNELS.get(type(net))
    if kernel is None or not (kernels and device.is_memory and can_compile()):
        return PlainPass(net, device)
    made: Pass = kernel(net, row_wise=row_wise)
    return made


def padded(array: Floats) -> Floats:
    """With zeros up to a multiple of UNROLLED along each axis."""
    return np.pad(array, [(0, -length % UNROLLED) for length in array.shape])


def _array(parameter: Tensor) -> Floats:
    found: Floats = parameter.detach().numpy()
    return found
