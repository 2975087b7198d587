"""Rows of an encoded log that are ranked within groups, and how these are cut into shards and
batches: a group is never cut.

>>> grouped = Grouped(np.array([0, 2, 5]), 6)
>>> grouped[torch.tensor([5, 2, 3])]
tensor([2, 1, 1])
>>> grouped.cuts(3)
array([0, 5, 6])
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int64]


class Grouped:
    """The groups of so many `rows`, those of a group one behind the other. `starts`: int64 [G], the
    first row of each group; 8 bytes a group are all that is in memory.
    """

    def __init__(self, starts: Ints, rows: int) -> None:
        self._starts, self._rows = starts, rows

    def __getitem__(self, at: Tensor, /) -> Tensor:
        """Which group the rows `at` are of, int64 [B], counted from 0."""
        return torch.from_numpy(self._of(at.numpy()))

    def cuts(self, size: int) -> Ints:
        """Where shards of about `size` rows begin, and where the last one ends: a shard begins at
        the first group behind a multiple of `size`.
        """
        places = np.searchsorted(self._starts, np.arange(0, self._rows, size))
        begins = np.unique(np.append(self._starts, self._rows)[places])
        return begins if begins[-1] == self._rows else np.append(begins, self._rows)

    def sizes(self, first: int, last: int) -> Ints:
        """How many rows each group has of those in the rows first..last, which are whole groups."""
        begin, end = np.searchsorted(self._starts, [first, last])
        return np.diff(np.append(self._starts[begin:end], last))

    def batch_ends(self, at: Ints, size: int) -> Sequence[int]:
        """Behind which of the rows `at`, which are whole groups one behind the other, a batch ends,
        see `batch_ends`.
        """
        group = self._of(at)
        ends = np.append(np.flatnonzero(group[1:] != group[:-1]) + 1, len(at))
        return batch_ends(ends, size)

    def _of(self, rows: Ints) -> Ints:
        group: Ints = np.searchsorted(self._starts, rows, side="right") - 1
        return group


def rows_in(sizes: Ints, order: Ints) -> Ints:
    """The rows of groups of these sizes, which lie one behind the other, where the groups are put
    into another order.
    """
    counts = sizes[order]
    moved = (np.cumsum(sizes) - sizes)[order] - (np.cumsum(counts) - counts)
    rows: Ints = np.arange(counts.sum()) + np.repeat(moved, counts)
    return rows


def batch_ends(ends: Ints, size: int, begin: int = 0) -> list[int]:
    """Behind which rows a batch ends, where groups end behind the rows `ends`: a batch takes groups
    until it has `size` rows or more. The first batch begins at the row `begin`; what is left at the
    end is no batch.
    """
    found = []
    while (place := int(np.searchsorted(ends, begin + size))) < len(ends):
        begin = int(ends[place])
        found.append(begin)
    return found
