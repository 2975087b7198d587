"""Encoded rows as the tensors that a net is fitted on, and judged on."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from model.encoding import Encoded
from training.data.log import Log

AT_ONCE = 1 << 15  # rows

Change = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Fed(NamedTuple):
    """B rows of a batch: `at`, int64 [B], which they are; `ids` and `values` [B, F]."""

    at: Tensor
    ids: Tensor
    values: Tensor


class Grouping(Protocol):
    """Which rows are ranked together."""

    def __getitem__(self, at: Tensor, /) -> Tensor:
        """A number for the group of each of the rows `at`, int64 [B]."""


class EncodedRows(ABC):
    """N encoded rows that a net is fitted on or judged on, wherever they are.

    `labels`, `weights`: float32 [N], the weights of mean 1. `groups`: see `Examples`.
    """

    labels: Tensor
    weights: Tensor
    groups: Grouping | None

    def __len__(self) -> int:
        """N."""
        return len(self.labels)

    @abstractmethod
    def batches(self, size: int, epoch: int = 1, behind: int = 0) -> Iterator[Fed]:
        """All rows in random order, `size` a batch, without the first `behind` batches; `epoch`
        counts from 1. With groups, whole ones, one behind the other, until a batch has `size` rows
        or more.
        """

    @abstractmethod
    def between(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        """The ids and values of the rows first..last."""

    @abstractmethod
    def at(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The ids and values of some rows, whose numbers ascend."""

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The ids and values of all rows in their order, some rows at a time."""
        for first in range(0, len(self), AT_ONCE):
            yield self.between(first, min(first + AT_ONCE, len(self)))

    def encoded(self, size: int = AT_ONCE, most: int | None = None) -> Iterator[Encoded]:
        """All rows in their order, or the first `most`, `size` at a time."""
        end = len(self) if most is None else min(most, len(self))
        for first in range(0, end, size):
            ids, values = self.between(first, min(first + size, end))
            yield Encoded(ids.numpy(), values.numpy())

    def take(self, rows: NDArray[np.int64]) -> Encoded:
        """Some rows, whose numbers ascend."""
        ids, values = self.at(rows)
        return Encoded(ids.numpy(), values.numpy())

    @abstractmethod
    def every(self, step: int, most: int | None = None) -> "Examples":
        """Each `step`-th row from the first on, `most` of them."""

    @abstractmethod
    def mapped(self, change: Change) -> "EncodedRows":
        """The rows with other ids and values, which `change` makes of any of them."""

    @abstractmethod
    def digest(self) -> str:
        """Of all that the rows are."""

    def counts(self, rows: int) -> Tensor:
        """How often each of the `rows` rows of a table is fed, int64 [V]."""
        found = torch.zeros(rows, dtype=torch.int64)
        for ids, values in self.chunks():
            found += torch.bincount(ids[values != 0], minlength=rows)
        return found


@dataclass(frozen=True)
class Examples(EncodedRows):
    """N encoded rows in memory, with their labels and weights, the weights of mean 1.

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
        given = relative(weights, len(labels))
        arrays = (encoded.ids, encoded.values, labels, given, *([] if groups is None else [groups]))
        return cls(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))

    @override
    def batches(self, size: int, epoch: int = 1, behind: int = 0) -> Iterator[Fed]:
        """The order is drawn at once, by torch's generator."""
        drawn = self._drawn(size)[behind:]
        return (Fed(at, *self._of(at)) for at in drawn)

    @override
    def between(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        return self.ids[first:last], self.values[first:last]

    @override
    def at(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        return self._of(torch.from_numpy(rows))

    @override
    def every(self, step: int, most: int | None = None) -> "Examples":
        at = slice(0, None if most is None else step * most, step)
        groups = None if self.groups is None else self.groups[at]
        return Examples(self.ids[at], self.values[at], self.labels[at], self.weights[at], groups)

    @override
    def mapped(self, change: Change) -> "Examples":
        return Examples(*change(self.ids, self.values), self.labels, self.weights, self.groups)

    @override
    def digest(self) -> str:
        found = sha256()
        for tensor in (self.ids, self.values, self.labels, self.weights, self.groups):
            if tensor is not None:
                found.update(tensor.numpy().data)
        return found.hexdigest()

    def _of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        # whole rows are copied, while brackets look up number by number, and take six times as long
        return self.ids.index_select(0, rows), self.values.index_select(0, rows)

    def _drawn(self, size: int) -> list[Tensor]:
        # the rows of each batch
        if self.groups is None:
            return list(torch.split(torch.randperm(len(self)), size))
        order, sizes = self._by_group
        starts = sizes.cumsum(0) - sizes
        drawn = torch.randperm(len(sizes))
        counts = sizes[drawn]
        ends = counts.cumsum(0)
        rows = torch.arange(len(self)) + (starts[drawn] - (ends - counts)).repeat_interleave(counts)
        batches = []
        at = 0
        while at < len(self):
            end = int(ends[min(int(torch.searchsorted(ends, at + size)), len(ends) - 1)])
            batches.append(order[rows[at:end]])
            at = end
        return batches

    @cached_property
    def _by_group(self) -> tuple[Tensor, Tensor]:
        # the rows sorted by group, and the sizes of the groups
        assert self.groups is not None  # noqa: S101  its callers looked
        order = torch.argsort(self.groups, stable=True)
        return order, torch.unique_consecutive(self.groups[order], return_counts=True)[1]


def relative(weights: NDArray[np.float32] | None, rows: int) -> NDArray[np.float32]:
    """Weights of mean 1, float32 [N]."""
    if weights is None:
        return np.ones(rows, np.float32)
    found: NDArray[np.float32] = weights / weights.mean()
    return found


def examples(encoded: Encoded, log: Log, task: str = "click") -> Examples:
    """Encoded rows with the labels and weights of their log, and its groups for task ranking."""
    return Examples.of(encoded, log.labels, log.weights, log.group if task == "ranking" else None)
