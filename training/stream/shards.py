"""The epochs of an encoded log: its rows in an order that depends on the seed and the epoch alone.

The rows are cut into shards of SHARD rows. An epoch puts the shards in an order by chance, takes
MIXED of them at a time, and gives the rows of these in an order by chance. How many threads read
ahead decides nothing, so a fit that was killed may go on with any number of them.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from training.data.examples import Change, Examples, Fed, TrainRows
from training.stream.ahead import ahead
from training.stream.encoded_log import EncodedLog
from training.stream.slots import Packed, Slots

SHARD = 1 << 15  # rows
MIXED = 8  # shards

Ints = NDArray[np.int64]
Mixed = tuple[Ints, Packed]  # some rows: which they are, and what they are


class Shards(TrainRows):
    """The rows of `log` that are trained on, read by so many threads; `seed`: of their order.

    `change`: makes other ids and values of those that are read.
    """

    groups = None

    def __init__(
        self, log: EncodedLog, seed: int, readers: int, change: Change | None = None
    ) -> None:
        self._log, self._seed, self._readers, self._change = log, seed, readers, change
        self._file: Path = log.rows
        self._slots: Slots = log.slots
        self._width = len(log.slots.absent)
        self.labels, self.weights = log.labels(), log.weights()
        self._every = cache(self._read_every)  # the bias is solved for on the same rows each time

    @override
    def batches(self, size: int, epoch: int = 1, behind: int = 0) -> Iterator[Fed]:
        skipped = size * behind
        rest: Mixed | None = None
        for at, packed in ahead(self._mixed, self._order(epoch, skipped), self._readers):
            if rest is not None:
                at, packed = np.concatenate([rest[0], at]), np.concatenate([rest[1], packed])
            whole = len(at) - len(at) % size
            for start in range(0, whole, size):
                yield self._fed(at[start : start + size], packed[start : start + size])
            rest = at[whole:], packed[whole:]
        if rest is not None and len(rest[0]):
            yield self._fed(*rest)

    @override
    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        for shard in range(self._shards):
            yield self._unpacked(self._read(shard))

    @override
    def every(self, step: int, most: int | None = None) -> Examples:
        return self._every(step, most)

    @override
    def mapped(self, change: Change) -> "Shards":
        before = self._change

        def both(ids: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
            return change(*(before(ids, values) if before is not None else (ids, values)))

        return Shards(self._log, self._seed, self._readers, both)

    @override
    def digest(self) -> str:
        return self._log.key

    @property
    def _shards(self) -> int:
        return -(-len(self) // SHARD)

    def _order(self, epoch: int, skipped: int) -> Iterator[tuple[int, int, list[int], int]]:
        # the shards that are mixed with each other, how often others were before, and how many of
        # their rows are left out, since they and all rows before them were fed
        shards = np.random.default_rng([self._seed, epoch]).permutation(self._shards).tolist()
        for number, start in enumerate(range(0, self._shards, MIXED)):
            together = shards[start : start + MIXED]
            rows = sum(min(SHARD, len(self) - shard * SHARD) for shard in together)
            if skipped < rows:
                yield epoch, number, together, skipped
            skipped = max(skipped - rows, 0)

    def _mixed(self, what: tuple[int, int, list[int], int]) -> Mixed:
        epoch, number, shards, skipped = what
        parts = [self._read(shard) for shard in shards]
        at = np.concatenate(
            [
                np.arange(shard * SHARD, shard * SHARD + len(part))
                for shard, part in zip(shards, parts, strict=True)
            ]
        )
        rng = np.random.default_rng([self._seed, epoch, number])
        order = rng.permutation(len(at))[skipped:]
        return at[order], np.concatenate(parts)[order]

    def _read(self, shard: int) -> Packed:
        size = min(SHARD, len(self) - shard * SHARD) * self._width
        offset = 4 * shard * SHARD * self._width
        return np.fromfile(self._file, np.int32, size, offset=offset).reshape(-1, self._width)

    def _read_every(self, step: int, most: int | None) -> Examples:
        rows = np.arange(0, len(self), step)[:most]
        parts = []
        for shard in range(self._shards):
            first, last = np.searchsorted(rows, [shard * SHARD, (shard + 1) * SHARD])
            if first < last:
                parts.append(self._read(shard)[rows[first:last] - shard * SHARD])
        at = torch.from_numpy(rows)
        ids, values = self._unpacked(np.concatenate(parts))
        return Examples(ids, values, self.labels[at], self.weights[at])

    def _fed(self, at: Ints, packed: Packed) -> Fed:
        return Fed(torch.from_numpy(at), *self._unpacked(packed))

    def _unpacked(self, packed: Packed) -> tuple[Tensor, Tensor]:
        ids, values = map(torch.from_numpy, self._slots.unpack(packed))
        return (ids, values) if self._change is None else self._change(ids, values)
