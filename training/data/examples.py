"""Encoded rows as the tensors that a net is fitted on."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.encoding import Encoded
from training.data.log import Log


@dataclass(frozen=True)
class Examples:
    """N encoded rows with their labels and weights, the weights of mean 1.

    `groups`: which rows are ranked together, for the task ranking; None for the others.
    """

    ids: Tensor  # int64 [N, F]
    values: Tensor  # float32 [N, F]
    labels: Tensor  # float32 [N]
    weights: Tensor  # float32 [N]
    groups: Tensor | None = None  # int64 [N]

    @classmethod
    def of(
        cls,
        encoded: Encoded,
        labels: NDArray[np.float32],
        weights: NDArray[np.float32] | None,
        groups: NDArray[np.int64] | None = None,
    ) -> "Examples":
        """From the encoder's and the log's arrays."""
        given = np.ones(len(labels), np.float32) if weights is None else weights / weights.mean()
        arrays = (encoded.ids, encoded.values, labels, given, *([] if groups is None else [groups]))
        return cls(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int) -> Iterator[Tensor]:
        """All rows in random order, `size` a batch; with groups, whole ones, one behind the other,
        until a batch has `size` rows or more.
        """
        if self.groups is None:
            yield from torch.split(torch.randperm(len(self)), size)
            return
        order, sizes = self._by_group
        starts = sizes.cumsum(0) - sizes
        drawn = torch.randperm(len(sizes))
        counts = sizes[drawn]
        ends = counts.cumsum(0)
        rows = torch.arange(len(self)) + (starts[drawn] - (ends - counts)).repeat_interleave(counts)
        at = 0
        while at < len(self):
            end = int(ends[min(int(torch.searchsorted(ends, at + size)), len(ends) - 1)])
            yield order[rows[at:end]]
            at = end

    @cached_property
    def _by_group(self) -> tuple[Tensor, Tensor]:
        # the rows sorted by group, and the sizes of the groups
        assert self.groups is not None  # noqa: S101  its callers looked
        order = torch.argsort(self.groups, stable=True)
        return order, torch.unique_consecutive(self.groups[order], return_counts=True)[1]


def examples(encoded: Encoded, log: Log, task: str = "click") -> Examples:
    """Encoded rows with the labels and weights of their log, and its groups for task ranking."""
    return Examples.of(encoded, log.labels, log.weights, log.group if task == "ranking" else None)
