"""The first pass over a log: which rows are held out, and what the fields learn of the others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.errors import DataError
from model.held_out import HeldOut
from model.schema import NumericField, Schema
from model.vocabulary import FieldVocabulary, Vocabulary
from training.columns.keys import KnownHashes
from training.columns.learn import numbers_of
from training.data.files import Data
from training.data.log import Log
from training.data.parts import (
    are_drawn,
    are_enough,
    keys_of,
    sampled_part,
    wider,
)
from training.data.read_log import columns_of, require_weight, rows_of
from training.data.table import Table
from training.stream.asked import Asked
from training.stream.by_block import by_block
from training.stream.counts import MOST_HELD, NOTHING, Counts, block_counts
from training.stream.groups import GroupCells, Runs, Together, ranked_by
from training.stream.numbers import Numbers
from training.stream.part import Part


@dataclass(frozen=True)
class Survey:
    """What the second pass needs to know: how many rows of each block are trained on, and how many
    were before negatives were drawn, by the number of the block; the rule of those held out, None
    where none are; and what each field learnt.
    """

    kept: dict[int, int]
    before: dict[int, int]
    rule: HeldOut | None
    vocabularies: dict[str, FieldVocabulary]

    @property
    def rows(self) -> int:
        """How many rows are trained on."""
        return sum(self.kept.values())


def starts(rows: Mapping[int, int]) -> dict[int, int]:
    """Of each block how many rows are before its own, by how many rows each has."""
    numbers = sorted(rows)
    places = np.cumsum([0, *(rows[number] for number in numbers)])
    return dict(zip(numbers, places.tolist(), strict=False))


def survey(
    data: Data,
    schema: Schema,
    asked: Asked,
    readers: int,
    folder: Path,
    say: Callable[[str], None],
) -> Survey:
    """Read a log once; again where of a short one more than the share has to be held out, see
    `training.data.parts.split`, which finds the same rows; and once more where negatives are drawn,
    since which are depends on how many rows are before them. `folder`: for files that are of no use
    later.

    Raises:
        DataError: a log that cannot be read or trained on, or whose groups do not lie together, for
            task ranking.
    """
    rule, passes = 0, count()
    before: dict[int, int] | None = None
    while True:
        scratch = folder / str(next(passes))
        scratch.mkdir(parents=True)
        found = _Pass(schema, rule, scratch, asked)
        seen = partial_seen(schema, asked, rule, None if before is None else starts(before))
        for one in by_block(seen, data, columns_of(schema), readers, "first pass", say):
            found.add(one)
        chosen = found.chosen(str(data), asked.share)
        if chosen == rule and (asked.rate == 1 or before is not None):
            return found.survey(str(data))
        before = found.before if chosen == rule else None
        rule = chosen


class _Seen(NamedTuple):
    # of a block: its number, by rule what is trained on and what is held out, what is left where
    # negatives were drawn, and for task ranking its groups

    number: int
    rules: Sequence[HeldOut]
    parts: Sequence[tuple[Part, Part]]
    left: Part
    weighed: bool
    counts: dict[str, pl.DataFrame]
    numbers: dict[str, NDArray[np.float64]]
    groups: GroupCells | None


def partial_seen(
    schema: Schema, asked: Asked, rule: int, before: Mapping[int, int] | None
) -> Callable[[int, Table], _Seen]:
    """What is done with a block: the values of the rows that the rule number `rule` of those that
    the share gives does not hold out, and that are drawn where `before` says how many rows are
    before those of each block.
    """
    hashes = KnownHashes()

    def seen(number: int, table: Table) -> _Seen:
        log = rows_of(table, schema)
        rules: list[HeldOut] = []
        held = [np.zeros(len(log), np.bool_)]
        if asked.share is not None:
            keys, first = keys_of(log, schema, asked.share, hashes)
            rules = list(wider(first))
            held = [one.holds_out(keys) for one in rules]
        groups = _groups_of(table, log, ranked_by(schema))
        parts = [(_part(log, ~one, groups), _part(log, one, groups)) for one in held]
        train = log.take(np.flatnonzero(~held[rule])) if held[rule].any() else log
        weighed = train.weights is None or bool(train.weights.any())
        if before is not None:
            drawn = are_drawn(train.labels, asked.rate, asked.seed, before[number])
            train = train.take(np.flatnonzero(drawn))
        counts, numbers = {}, {}
        for name, described in schema.fields.items():
            column = train.columns[schema.sources[name]]
            if isinstance(described, NumericField):
                if name not in asked.known:  # a scale stays as it was
                    numbers[name] = numbers_of(described, column)
            else:
                counts[name] = block_counts(described, column)
        left = Part.of(train.labels)
        return _Seen(number, rules, parts, left, weighed, counts, numbers, groups)

    return seen


def _groups_of(table: Table, log: Log, column: str | None) -> GroupCells | None:
    if column is None or log.group is None:
        return None
    (path, _), *_ = table.files
    return GroupCells(path, table.frame[column], Runs.of(log.group))


def _part(log: Log, rows: NDArray[np.bool_], groups: GroupCells | None) -> Part:
    of_task = None if groups is None or log.group is None else log.group[rows]
    return Part.of(log.labels[rows], of_task)


class _Pass:
    # what one reading of the log has found so far, where the rule number `rule` holds out

    def __init__(self, schema: Schema, rule: int, folder: Path, asked: Asked) -> None:
        self._schema, self._rule, self._asked = schema, rule, asked
        self._rules: Sequence[HeldOut] = []
        self._parts: list[tuple[Part, Part]] = []
        self._left = Part()
        column = ranked_by(schema)
        self._together = None if column is None else Together(column)
        self._kept: dict[int, int] = {}
        self.before: dict[int, int] = {}
        self._weighed = False
        self._counts: dict[str, Counts] = {}
        self._numbers: dict[str, Numbers] = {}
        for place, (name, described) in enumerate(schema.fields.items()):
            if isinstance(described, NumericField):
                self._numbers[name] = Numbers(described, folder / f"{place}.numbers")
                continue
            known = asked.known.get(name, NOTHING)
            assert isinstance(known, Vocabulary)  # noqa: S101  such a field has no other
            self._counts[name] = Counts(described, folder / str(place), known)

    def add(self, seen: _Seen) -> None:
        if self._together is not None and seen.groups is not None:
            self._together.add(seen.groups)
        self._rules = seen.rules
        if not self._parts:
            self._parts = list(seen.parts)
        else:
            self._parts = [
                (train.joined(more), held.joined(others))
                for (train, held), (more, others) in zip(self._parts, seen.parts, strict=True)
            ]
        self.before[seen.number] = seen.parts[self._rule][0].rows
        self._left, self._kept[seen.number] = self._left.joined(seen.left), seen.left.rows
        self._weighed |= seen.weighed
        for name, counts in seen.counts.items():
            self._counts[name].add(counts)
        for name, numbers in seen.numbers.items():
            self._numbers[name].add(numbers)
        if sum(map(len, self._counts.values())) > MOST_HELD:
            max(self._counts.values(), key=len).spill()

    def chosen(self, source: str, share: float | None) -> int:
        # the number of the rule that holds out enough, see `training.data.parts.split`
        task = self._schema.task
        train, held = self._parts[0]
        train.joined(held).require_contrast(source, task, "training")
        if not self._weighed:
            require_weight(np.zeros(1, np.float32), self._schema, source)
        if share is None:
            return 0
        rows = train.rows + held.rows
        able = list(self._able(source))
        for number, (_, part) in enumerate(self._parts):
            if number in able and are_enough(part.rows, rows, share):
                return number
        last = len(self._parts) - 1
        train, held = self._parts[last]
        if not (train.rows and held.rows):
            raise DataError(f"{source}: {rows} rows cannot be split, {share:g} held out")
        train.require_contrast(source, task, "the training part")
        held.require_contrast(source, task, "the part held out")
        return last

    def _able(self, source: str) -> Iterator[int]:
        # the rules whose parts both have rows of both classes
        for number, parts in enumerate(self._parts):
            try:
                for part in parts:
                    part.require_contrast(source, self._schema.task, "a part")
            except DataError:
                continue
            yield number

    def survey(self, source: str) -> Survey:
        if self._asked.rate != 1:
            self._left.require_contrast(source, "click", sampled_part(self._asked.rate))
        known = {name: self._learnt(name) for name in self._schema.fields}
        rule = self._rules[self._rule] if self._rules else None
        return Survey(self._kept, self.before, rule, known)

    def _learnt(self, name: str) -> FieldVocabulary:
        if name in self._counts:
            return self._counts[name].vocabulary()
        known = self._asked.known.get(name)
        return self._numbers[name].learnt() if known is None else known
