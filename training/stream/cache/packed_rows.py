"""Encoded rows in a file of an encoded log, read some at a time.

They are read and not mapped into memory, since what is mapped counts as memory of the process.

>>> import tempfile
>>> none = np.empty(0, np.int64)
>>> slots = Slots(np.array([0, 5]), none, none, none, np.empty(0, np.float32))
>>> with tempfile.TemporaryDirectory() as folder:
...     path = Path(folder) / "rows"
...     np.array([[1, 5], [2, 7]], np.int32).tofile(path)
...     PackedRows(path, slots, torch.zeros(2), torch.ones(2), "key").between(0, 2)
(tensor([[1, 5],
        [2, 7]]), tensor([[1., 0.],
        [1., 1.]]))
"""

from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from training.data.examples import Change, EncodedRows, Examples, Fed, Grouping
from training.stream.cache.slots import Packed, Slots

NEAR = 1 << 12  # rows that are read at once for the few of them that are asked for

Ints = NDArray[np.int64]


class PackedRows(EncodedRows):
    """The rows of the file `path`, packed as `slots` say. `key`: a digest of what they are.

    Their `labels`, `weights` and `groups` are in memory, see `EncodedRows`.
    """

    def __init__(
        self,
        path: Path,
        slots: Slots,
        labels: Tensor,
        weights: Tensor,
        key: str,
        groups: Grouping | None = None,
    ) -> None:
        self._path, self._slots, self._key = path, slots, key
        self._width = len(slots.absent)
        self._change: Change | None = None
        self._every: dict[tuple[int, int | None], Examples] = {}
        self.labels, self.weights, self.groups = labels, weights, groups

    @override
    def batches(self, size: int, epoch: int = 1, behind: int = 0) -> Iterator[Fed]:
        """In the order of the file."""
        for first in range(behind * size, len(self), size):
            last = min(first + size, len(self))
            yield Fed(torch.arange(first, last), *self.between(first, last))

    @override
    def between(self, first: int, last: int) -> tuple[Tensor, Tensor]:
        return self.unpacked(self.read(first, last))

    @override
    def at(self, rows: Ints) -> tuple[Tensor, Tensor]:
        parts = [np.empty((0, self._width), np.int32)]
        for some in _near(rows):
            first = int(some[0])
            parts.append(self.read(first, int(some[-1]) + 1)[some - first])
        return self.unpacked(np.concatenate(parts))

    @override
    def every(self, step: int, most: int | None = None) -> Examples:
        """Kept in memory: the bias is solved for on the same rows after each epoch."""
        found = self._every.get((step, most))
        if found is None:
            rows = np.arange(0, len(self), step)[:most]
            at = torch.from_numpy(rows)
            groups = None if self.groups is None else self.groups[at]
            found = Examples(*self.at(rows), self.labels[at], self.weights[at], groups)
            self._every[step, most] = found
        return found

    @override
    def mapped(self, change: Change) -> "PackedRows":
        before, found = self._change, copy(self)

        def both(ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
            return change(*(before(ids, values) if before is not None else (ids, values)))

        found._change, found._every = both, {}
        return found

    @override
    def digest(self) -> str:
        return self._key

    def read(self, first: int, last: int) -> Packed:
        """The rows first..last as they are in the file."""
        size, offset = (last - first) * self._width, 4 * first * self._width
        return np.fromfile(self._path, np.int32, size, offset=offset).reshape(-1, self._width)

    def unpacked(self, packed: Packed) -> tuple[Tensor, Tensor]:
        """Their ids and values."""
        ids, values = map(torch.from_numpy, self._slots.unpack(packed))
        return (ids, values) if self._change is None else self._change(ids, values)


def _near(rows: Ints) -> Sequence[Ints]:
    # cut where a part would span more than NEAR rows
    return np.split(rows, np.flatnonzero(np.diff(rows // NEAR)) + 1) if len(rows) else []
