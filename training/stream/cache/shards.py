"""The epochs of an encoded log: its rows in an order that depends on the seed and the epoch alone.

The rows are cut into shards of SHARD rows. An epoch puts the shards in an order by chance, takes
MIXED of them at a time, and gives the rows of these in an order by chance. How many threads read
ahead decides nothing, so a fit that was killed may go on with any number of them.

For task ranking a shard ends behind the group that its last row is of, and the groups of MIXED
shards are put in an order by chance in place of their rows.

Older rows that are replayed lie behind those of the log, in shards as they do.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from training.data.examples import Fed, relative
from training.stream.ahead import ahead
from training.stream.cache.encoded_log import EncodedLog
from training.stream.cache.grouped import Grouped, batch_ends, rows_in
from training.stream.cache.packed_rows import PackedRows
from training.stream.cache.replayed import Replayed
from training.stream.cache.slots import Packed

SHARD = 1 << 15  # rows
MIXED = 8  # shards

Ints = NDArray[np.int64]
Mixed = tuple[Ints, Packed]  # some rows: which they are, and what they are


class Shards(PackedRows):
    """The rows of `log` that are trained on, read by so many threads; `seed`: of their order.
    `one_pass`: they come in the order of the log. `old`: rows that are trained on behind them.
    """

    def __init__(
        self,
        log: EncodedLog,
        seed: int,
        readers: int,
        old: Replayed | None = None,
        *,
        one_pass: bool = False,
    ) -> None:
        labels, weights, self._grouped = _of_rows(log, old)
        super().__init__(log.rows, log.slots, labels, weights, log.key, self._grouped)
        self._seed, self._readers, self._one_pass = seed, readers, one_pass
        self._old, self._on_disk = old, len(log)
        rows = len(self)  # a shard's rows begin at one cut and end before the next
        self._cuts = np.append(np.arange(0, rows, SHARD), rows)
        if self._grouped is not None:
            self._cuts = self._grouped.cuts(SHARD)

    @override
    def batches(self, size: int, epoch: int = 1, behind: int = 0) -> Iterator[Fed]:
        skipped = self._rows_of(size, epoch, behind)
        rest: Mixed | None = None
        for at, packed in ahead(self._mixed, self._order(epoch, skipped), self._readers):
            if rest is not None:
                at, packed = np.concatenate([rest[0], at]), np.concatenate([rest[1], packed])
            start = 0
            for end in self._batch_ends(at, size):
                yield self._fed(at[start:end], packed[start:end])
                start = end
            rest = at[start:], packed[start:]
        if rest is not None and len(rest[0]):
            yield self._fed(*rest)

    @override
    def read(self, first: int, last: int) -> Packed:
        if self._old is None or last <= self._on_disk:
            return super().read(first, last)
        old = self._old.packed[max(first - self._on_disk, 0) : last - self._on_disk]
        if first >= self._on_disk:
            return old
        return np.concatenate([super().read(first, self._on_disk), old])

    @override
    def digest(self) -> str:
        if self._old is None:
            return super().digest()
        found = hashlib.sha256(super().digest().encode())
        old = self._old.packed, self._old.labels, self._old.weights, self._old.starts
        for array in old:
            if array is not None:
                found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()

    def _batch_ends(self, at: Ints, size: int) -> Sequence[int]:
        if self._grouped is None:
            return range(size, len(at) + 1, size)
        return self._grouped.batch_ends(at, size)

    def _rows_of(self, size: int, epoch: int, batches: int) -> int:
        # how many rows are in the first batches of an epoch
        if self._grouped is None:
            return size * batches
        fed = before = 0
        for number, shards in self._mixes(epoch):
            if not batches:
                break
            sizes = self._group_sizes(shards)
            ends = before + np.cumsum(sizes[self._drawn(epoch, number, len(sizes))])
            taken = batch_ends(ends, size, fed)[:batches]
            fed, batches, before = [fed, *taken][-1], batches - len(taken), int(ends[-1])
        return len(self) if batches else fed

    def _mixes(self, epoch: int) -> Iterator[tuple[int, list[int]]]:
        # the shards that are mixed with each other, and how often others were before
        count = len(self._cuts) - 1
        shards = list(range(count))
        if not self._one_pass:
            shards = np.random.default_rng([self._seed, epoch]).permutation(count).tolist()
        for number, start in enumerate(range(0, count, MIXED)):
            yield number, shards[start : start + MIXED]

    def _order(self, epoch: int, skipped: int) -> Iterator[tuple[int, int, list[int], int]]:
        # the mixes that are left, and how many of their rows are left out, since they and all rows
        # before them were fed
        for number, together in self._mixes(epoch):
            rows = sum(int(self._cuts[shard + 1] - self._cuts[shard]) for shard in together)
            if skipped < rows:
                yield epoch, number, together, skipped
            skipped = max(skipped - rows, 0)

    def _mixed(self, what: tuple[int, int, list[int], int]) -> Mixed:
        epoch, number, shards, skipped = what
        ends = [(int(self._cuts[shard]), int(self._cuts[shard + 1])) for shard in shards]
        at = np.concatenate([np.arange(first, last) for first, last in ends])
        packed = np.concatenate([self.read(first, last) for first, last in ends])
        if self._grouped is None:
            order = self._drawn(epoch, number, len(at))
        else:
            sizes = self._group_sizes(shards)
            order = rows_in(sizes, self._drawn(epoch, number, len(sizes)))
        order = order[skipped:]
        return at[order], packed[order]

    def _drawn(self, epoch: int, number: int, count: int) -> Ints:
        # the order of the rows, or of the groups, of the shards that are mixed
        if self._one_pass:
            return np.arange(count)
        return np.random.default_rng([self._seed, epoch, number]).permutation(count)

    def _group_sizes(self, shards: list[int]) -> Ints:
        assert self._grouped is not None  # noqa: S101  its callers looked
        cuts = self._cuts
        return np.concatenate([self._grouped.sizes(cuts[n], cuts[n + 1]) for n in shards])

    def _fed(self, at: Ints, packed: Packed) -> Fed:
        return Fed(torch.from_numpy(at), *self.unpacked(packed))


def _of_rows(log: EncodedLog, old: Replayed | None) -> tuple[Tensor, Tensor, Grouped | None]:
    # the labels, weights and groups of all rows
    labels, given, starts, rows = log.labels(), log.weights(), log.group_starts(), len(log)
    if old is not None:
        labels = torch.cat([labels, torch.from_numpy(old.labels)])
        if given is not None and old.weights is not None:
            given = np.concatenate([given, old.weights])
        if starts is not None and old.starts is not None:
            starts = np.concatenate([starts, rows + old.starts])
        rows += len(old.labels)
    weights = torch.ones(1).expand(rows)
    if given is not None:
        weights = torch.from_numpy(relative(given, rows))
    return labels, weights, None if starts is None else Grouped(starts, rows)
