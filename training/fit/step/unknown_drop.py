"""Some known values fed as unknown ones, so that the rows of unknown values are trained."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.encoding import Encoder
from model.values.ids import FIRST, UNKNOWN
from training.data.examples import EncodedRows


@dataclass(frozen=True)
class UnknownDrop:
    """Feeds some values as unknown ones, so that the unknown rows are trained.

    `rows`: int64 [F], the unknown row of each slot. `first`: int64 [F], the first row of its
    vocabulary, beyond the table where the slot has none.
    """

    rows: Tensor
    first: Tensor
    rate: float

    @classmethod
    def of(cls, encoder: Encoder, rate: float) -> "UnknownDrop":
        """Of the encoder's slots, at this `rate`."""
        unknown = torch.from_numpy(encoder.offsets + UNKNOWN)
        first = np.where(encoder.droppable, encoder.offsets + FIRST, encoder.rows)
        return cls(unknown, torch.from_numpy(first), rate)

    def __call__(self, ids: Tensor) -> Tensor:
        """The ids [B, F] with a share `rate` of the known values made unknown."""
        if not self.rate:
            return ids
        drop = (torch.rand(ids.shape) < self.rate) & (ids >= self.first)
        return torch.where(drop, self.rows, ids)


def uses_of(train: EncodedRows, drop: Callable[[Tensor], Tensor], rows: int) -> Tensor:
    """How often an epoch is expected to feed each of the `rows` of the tables, float64 [V]."""
    uses = train.counts(rows).double()
    if isinstance(drop, UnknownDrop) and drop.rate:
        known = torch.zeros_like(uses)
        dropped = torch.zeros(len(drop.rows), dtype=torch.float64)
        for ids, values in train.chunks():
            some = (values != 0) & (ids >= drop.first)
            known += torch.bincount(ids[some], minlength=rows)
            dropped += some.sum(0)
        uses -= drop.rate * known
        uses.index_add_(0, drop.rows, drop.rate * dropped)
    return uses
