"""The parts of a log: held out, sampled, weighed.

>>> log = Log({"device": ["ios", "web"] * 50}, np.array([1, 0] * 50, np.float32))
>>> half = sample_negatives(log, 0.5, seed=1)
>>> int(half.labels.sum()), len(half)
(50, 76)
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from model.errors import DataError
from model.held_out import HeldOut, Keys, number_keys
from model.schema import Schema
from training.columns.keys import KnownHashes, column_keys
from training.data.log import Ints, Log

MOST_HELD_OUT = 0.5


def require_contrast(log: Log, task: str, what: str = "the log") -> None:
    """Refuse to train, tune or judge on rows of one class: only clicks, say, or none.

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


def split(log: Log, schema: Schema, *, share: float) -> tuple[Log, Log]:
    """Cut a log in two: what remains, and the part of about `share` held out, which says by what
    rule (`Log.held_out`).

    The rule is a function of a row's content, see model/held_out.py: a longer log holds out the
    same rows, and some of its new ones. Where `share` of so few rows, groups or times is too little
    to judge on, it is doubled, to a half at most.

    Raises:
        DataError: a part would be empty, or of one class (see `require_contrast`).
    """
    keys, first = keys_of(log, schema, share)
    for rule in wider(first):
        held = rule.holds_out(keys)
        found = _cut(log, schema, held, rule)
        if found is not None and are_enough(int(held.sum()), len(log), share):
            return found
    if held.all() or not held.any():
        raise DataError(f"{log.source}: {len(log)} rows cannot be split, {share:g} held out")
    return found if found is not None else _refuse(log, schema, held)


def without_held_out(log: Log, schema: Schema, *rules: HeldOut | None) -> Log:
    """The rows of a log that none of the rules holds out; a rule of other keys than the schema
    gives holds out nothing here.
    """
    keys, own = keys_of(log, schema, 0.5)
    held = np.zeros(len(log), np.bool_)
    for rule in rules:
        if rule is not None and rule.has_keys_of(own):
            held |= rule.holds_out(keys)
    return log.take(np.flatnonzero(~held)) if held.any() else log


def wider(rule: HeldOut) -> Iterator[HeldOut]:
    """A rule, and those that hold out twice as much, and so on, to a half at most."""
    while True:
        yield rule
        larger = 2 * rule.share
        if larger > MOST_HELD_OUT:
            return
        rule = rule.model_copy(update={"share": larger})


def are_enough(held: int, rows: int, share: float) -> bool:
    """Whether of `rows` so many are held out that a larger share than `share` is not needed."""
    return 2 * held >= share * rows


def keys_of(
    log: Log, schema: Schema, share: float, known: KnownHashes | None = None
) -> tuple[Keys, HeldOut]:
    """The keys of the rows [B], and the rule that holds out `share` of them. `known`: hashes of
    values of other rows of the log.
    """
    if schema.group is not None and log.group is not None:
        return number_keys(log.group), HeldOut(by="group", columns=[schema.group], share=share)
    if schema.time is not None and log.time is not None:
        return number_keys(log.time), HeldOut(by="time", columns=[schema.time], share=share)
    keys = column_keys(log.columns, len(log), known)
    return keys, HeldOut(by="fields", columns=sorted(log.columns), share=share)


def _cut(
    log: Log, schema: Schema, held: NDArray[np.bool_], rule: HeldOut
) -> tuple[Log, Log] | None:
    if held.all() or not held.any():
        return None
    train, valid = log.take(np.flatnonzero(~held)), log.take(np.flatnonzero(held))
    try:
        for part in (train, valid):
            require_contrast(part, schema.task)
    except DataError:
        return None
    return train, replace(valid, held_out=rule)


def _refuse(log: Log, schema: Schema, held: NDArray[np.bool_]) -> NoReturn:
    for part, what in ((~held, "the training part"), (held, "the part held out")):
        require_contrast(log.take(np.flatnonzero(part)), schema.task, what)
    raise AssertionError("one part has no contrast")


def sample_negatives(log: Log, rate: float, seed: int) -> Log:
    """The log with each negative kept by chance `rate`, above 0 and up to 1; every click stays.

    By chance and not by a hash of the row, as what is held out: of a row that comes often all
    copies would be kept or none, and its click rate would be off.

    Raises:
        DataError: not a single negative is left.
    """
    if rate == 1:
        return log
    kept = log.take(np.flatnonzero(are_drawn(log.labels, rate, seed)))
    require_contrast(kept, "click", sampled_part(rate))
    return kept


def are_drawn(
    labels: NDArray[np.float32], rate: float, seed: int, first: int = 0
) -> NDArray[np.bool_]:
    """Which of some rows `sample_negatives` keeps, by their labels [B]; `first`: how many rows of
    the log are before them.
    """
    bits = np.random.PCG64(seed)
    bits.advance(first)  # a row takes one number
    drawn = np.random.Generator(bits).random(len(labels)) < rate
    found: NDArray[np.bool_] = drawn | (labels == 1)
    return found


def sampled_part(rate: float) -> str:
    """What errors call the rows that are left."""
    return f"the training part with {rate:g} of its negatives"


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


def _random_groups(group: Ints, share: float, seed: int) -> NDArray[np.bool_]:
    names, sizes = np.unique(group, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    drawn = np.cumsum(sizes[order]) <= max(share * len(group), sizes.min())
    return np.isin(group, names[order[drawn]])
