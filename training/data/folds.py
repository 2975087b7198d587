"""Parts of a log to judge on, beside the part that a fit holds out for itself: a share, or folds.

With a time they are later than what is trained on; else drawn by the seed: whole groups where the
log has groups, the same share of each class where the task is click.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from model.errors import DataError
from model.schema import Schema
from training.data.log import Ints, Log
from training.data.parts import require_contrast


def hold_out_test(log: Log, schema: Schema, share: float, seed: int) -> tuple[Log, Log]:
    """What remains of a log, and about `share` of it to test on.

    Raises:
        DataError: a part would be empty, or of one class.
    """
    if log.time is not None:
        return _cut(log, schema, _block(log.time, [1 - share]) == 1)
    return _cut(log, schema, _places(log, schema, seed) < share)


def folds(log: Log, schema: Schema, count: int, seed: int) -> Iterator[tuple[Log, Log]]:
    """`count` times a part to train on and one to test on. With a time they roll: each is tested on
    the rows that follow those trained on. Else each row is tested on once.

    Raises:
        DataError: a part would be empty, or of one class.
    """
    if log.time is not None:
        block = _block(log.time, [n / (count + 1) for n in range(1, count + 1)])
        for last in range(count):
            so_far = np.flatnonzero(block <= last + 1)
            yield _cut(log.take(so_far), schema, block[so_far] == last + 1)
        return
    fold = (_places(log, schema, seed) * count).astype(np.int64)
    for number in range(count):
        yield _cut(log, schema, fold == number)


def _cut(log: Log, schema: Schema, tested: NDArray[np.bool_]) -> tuple[Log, Log]:
    if tested.all() or not tested.any():
        raise DataError(f"{log.source}: {len(log)} rows cannot be cut into such parts")
    parts = log.take(np.flatnonzero(~tested)), log.take(np.flatnonzero(tested))
    for part, what in zip(parts, ("the training part", "the test part"), strict=True):
        require_contrast(part, schema.task, what)
    return parts


def _block(time: NDArray[np.float64], shares: list[float]) -> Ints:
    # how many of the cuts a row lies behind, [B]; rows of one time stay together
    ascending = np.sort(time)
    cuts = [ascending[min(round(len(time) * share), len(time) - 1)] for share in shares]
    return np.searchsorted(np.array(cuts), time, side="right")


def _places(log: Log, schema: Schema, seed: int) -> NDArray[np.float64]:
    # a place of each row within [0, 1), drawn: any interval has its share of groups, or of classes
    rng = np.random.default_rng(seed)
    places = np.zeros(len(log))
    if log.group is not None:
        _, group, sizes = np.unique(log.group, return_inverse=True, return_counts=True)
        order = rng.permutation(len(sizes))
        middle = np.empty(len(sizes))
        middle[order] = (np.cumsum(sizes[order]) - sizes[order] / 2) / len(log)
        return middle[group]
    classes = log.labels if schema.task == "click" else places
    for label in np.unique(classes):
        rows = np.flatnonzero(classes == label)
        places[rng.permutation(rows)] = np.arange(len(rows)) / len(rows)
    return places
