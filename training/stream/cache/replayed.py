"""Older rows that are trained on behind those of an encoded log: few of them, in memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.log import Log, encode
from training.data.parts import are_drawn
from training.stream.asked import Asked
from training.stream.cache.encoded_log import EncodedLog
from training.stream.cache.slots import Packed
from training.stream.groups import Runs


@dataclass(frozen=True)
class Replayed:
    """R rows, packed as those of the log. `weights`: as they were given, None where the log has
    none. `starts`: int64 [G], the first row of each group, counted in R, for task ranking.
    """

    packed: Packed
    labels: NDArray[np.float32]
    weights: NDArray[np.float32] | None
    starts: NDArray[np.int64] | None

    @classmethod
    def of(cls, old: Log, log: EncodedLog, asked: Asked) -> "Replayed":
        """The rows of `old` that are trained on behind those of `log`, of whose negatives some may
        be drawn: those that are drawn where all are in memory.

        Raises:
            DataError: a value that its field cannot hold.
        """
        if asked.rate != 1:
            before = len(log.all_labels())
            drawn = are_drawn(old.labels, asked.rate, asked.seed, before)
            old = old.take(np.flatnonzero(drawn))
        starts = None
        if log.schema.task == "ranking" and old.group is not None:
            old = old.take(np.argsort(old.group, kind="stable"))  # each group together
            assert old.group is not None  # noqa: S101  it was there before
            starts = Runs.of(old.group).first
        packed = log.slots.pack(encode(log.encoder, old))
        return cls(packed, old.labels, old.weights, starts)
