"""The epochs of an encoded log: its rows in an order that depends on the seed and the epoch alone.

The rows are cut into shards of SHARD rows. An epoch puts the shards in an order by chance, takes
MIXED of them at a time, and gives the rows of these in an order by chance. How many threads read
ahead decides nothing, so a fit that was killed may go on with any number of them.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from training.data.examples import Fed
from training.stream.ahead import ahead
from training.stream.cache.encoded_log import EncodedLog
from training.stream.cache.packed_rows import PackedRows
from training.stream.cache.slots import Packed

SHARD = 1 << 15  # rows
MIXED = 8  # shards

Ints = NDArray[np.int64]
Mixed = tuple[Ints, Packed]  # some rows: which they are, and what they are


class Shards(PackedRows):
    """The rows of `log` that are trained on, read by so many threads; `seed`: of their order.
    `one_pass`: they come in the order of the log.
    """

    def __init__(self, log: EncodedLog, seed: int, readers: int, *, one_pass: bool = False) -> None:
        super().__init__(log.rows, log.slots, log.labels(), log.weights(), log.key)
        self._seed, self._readers, self._one_pass = seed, readers, one_pass

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

    @property
    def _shards(self) -> int:
        return -(-len(self) // SHARD)

    def _order(self, epoch: int, skipped: int) -> Iterator[tuple[int, int, list[int], int]]:
        # the shards that are mixed with each other, how often others were before, and how many of
        # their rows are left out, since they and all rows before them were fed
        shards = list(range(self._shards))
        if not self._one_pass:
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
        order = np.arange(len(at))[skipped:]
        if not self._one_pass:
            rng = np.random.default_rng([self._seed, epoch, number])
            order = rng.permutation(len(at))[skipped:]
        return at[order], np.concatenate(parts)[order]

    def _read(self, shard: int) -> Packed:
        return self.read(shard * SHARD, min((shard + 1) * SHARD, len(self)))

    def _fed(self, at: Ints, packed: Packed) -> Fed:
        return Fed(torch.from_numpy(at), *self.unpacked(packed))
