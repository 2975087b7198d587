"""The parts of a log: held out, sampled, weighed."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.errors import DataError
from model.schema import Schema
from training.data.log import Ints, Log


def require_contrast(log: Log, task: str, what: str = "the log") -> None:
    """Refuse to train, tune or judge on rows that tell nothing apart: clicks alone, say, or none.

    Raises:
        DataError: all labels are equal; for task ranking, all of each group.
    """
    seen = np.unique(log.labels)
    if len(seen) < 2:
        shown = f"all labels are {seen[0]:g}" if len(seen) else "no row"
        wanted = "both classes, 0 and 1" if task == "click" else "labels that differ"
        raise DataError(f"{log.source}: {what} needs {wanted}: {shown}")
    if task == "ranking":
        if log.group is None:
            raise DataError(f"{log.source}: {what} needs groups for task ranking")
        order = np.lexsort((log.labels, log.group))
        same = np.diff(log.group[order]) == 0
        if not (same & (np.diff(log.labels[order]) > 0)).any():
            raise DataError(f"{log.source}: {what} needs a group whose labels differ")


def split(log: Log, schema: Schema, *, share: float, seed: int) -> tuple[Log, Log]:
    """Cut a log in two: what remains, and the part of about `share` held out.

    With `schema.time` the last rows are held out, rows of one time staying together; else a random
    part: whole groups where the schema has groups, the same share of each class where it has not.

    Raises:
        DataError: a part would be empty, or tell nothing apart (see `require_contrast`).
    """
    if schema.time is not None and log.time is not None:
        held = _last(log.time, share)
    elif log.group is not None:
        held = _random_groups(log.group, share, seed)
    else:
        held = _random_rows(log.labels if schema.task == "click" else None, len(log), share, seed)
    if held.all() or not held.any():
        raise DataError(f"{log.source}: {len(log)} rows cannot be split, {share:g} held out")
    parts = log.take(np.flatnonzero(~held)), log.take(np.flatnonzero(held))
    for part, what in zip(parts, ("the training part", "the part held out"), strict=True):
        require_contrast(part, schema.task, what)
    return parts


def sample_negatives(log: Log, rate: float, seed: int) -> Log:
    """The log with each negative kept by chance `rate`, above 0 and up to 1; every click stays.

    Raises:
        DataError: not a single negative is left.
    """
    if rate == 1:
        return log
    drawn = np.random.default_rng(seed).random(len(log)) < rate
    kept = log.take(np.flatnonzero(drawn | (log.labels == 1)))
    require_contrast(kept, "click", f"the training part with {rate:g} of its negatives")
    return kept


def weigh_negatives(log: Log, kept: float) -> Log:
    """A log that holds the share `kept` of its negatives, weighed as the whole log would count."""
    if kept == 1:
        return log
    given = np.ones(len(log), np.float32) if log.weights is None else log.weights
    weights = np.where(log.labels == 0, given / np.float32(kept), given)
    return replace(log, weights=weights)


def sample(log: Log, rows: int, seed: int) -> Log:
    """About `rows` rows of a log at random, in its order, or all of them where it has no more;
    whole groups where it has groups. Equal arguments give equal rows.
    """
    if rows >= len(log):
        return log
    if log.group is not None:
        return log.take(np.flatnonzero(_random_groups(log.group, rows / len(log), seed)))
    drawn = np.random.default_rng(seed).choice(len(log), rows, replace=False)
    return log.take(np.sort(drawn))


def _last(time: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    # the cut between two different times that comes nearest to the share
    ascending = np.sort(time)
    cuts = np.flatnonzero(np.diff(ascending)) + 1
    if not len(cuts):
        return np.zeros(len(time), dtype=np.bool_)
    cut = cuts[np.argmin(np.abs(cuts - len(time) * (1 - share)))]
    held: NDArray[np.bool_] = time >= ascending[cut]
    return held


def _random_groups(group: Ints, share: float, seed: int) -> NDArray[np.bool_]:
    names, sizes = np.unique(group, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    drawn = np.cumsum(sizes[order]) <= max(share * len(group), sizes.min())
    return np.isin(group, names[order[drawn]])


def _random_rows(
    labels: NDArray[np.float32] | None, rows: int, share: float, seed: int
) -> NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    held = np.zeros(rows, dtype=np.bool_)
    classes = np.zeros(rows) if labels is None else labels
    for label in np.unique(classes):
        of_class = rng.permutation(np.flatnonzero(classes == label))
        held[of_class[: round(share * len(of_class))]] = True
    return held
