"""The first pass over a log: which rows are held out, and what the fields learn of the others."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.errors import DataError
from model.held_out import HeldOut
from model.schema import NumericField, Schema
from model.vocabulary import FieldVocabulary
from training.columns.keys import KnownHashes
from training.columns.learn import numbers_of
from training.data.files import Data
from training.data.log import Log
from training.data.parts import are_enough, keys_of, require_contrast, wider
from training.data.read_log import columns_of, require_weight, rows_of
from training.data.table import Table
from training.stream.by_block import by_block
from training.stream.counts import MOST_HELD, Counts, block_counts
from training.stream.numbers import Numbers

Labels = NDArray[np.float32]


@dataclass(frozen=True)
class Survey:
    """What the second pass needs to know: how many rows of each block are trained on, by the number
    of the block; the rule of those held out, None where none are; and what each field learnt.
    """

    kept: dict[int, int]
    rule: HeldOut | None
    vocabularies: dict[str, FieldVocabulary]

    @property
    def rows(self) -> int:
        """How many rows are trained on."""
        return sum(self.kept.values())


def survey(
    data: Data,
    schema: Schema,
    share: float | None,
    readers: int,
    folder: Path,
    say: Callable[[str], None],
) -> Survey:
    """Read a log once, or again where of a short one more than `share` has to be held out, see
    `training.data.parts.split`, which finds the same rows; None holds out nothing. `folder`: for
    files that are of no use later.

    Raises:
        DataError: a log that cannot be read or trained on.
    """
    number = 0
    while True:
        scratch = folder / str(number)
        scratch.mkdir(parents=True)
        found = _Pass(schema, number, scratch)
        seen = partial_seen(schema, share, number)
        for one in by_block(seen, data, columns_of(schema), readers, "first pass", say):
            found.add(one)
        chosen = found.chosen(str(data), share)
        if chosen == number:
            return found.survey()
        number = chosen


class _Part(NamedTuple):
    # some rows: how many, and their lowest and highest label

    rows: int
    low: float
    high: float

    @classmethod
    def of(cls, labels: Labels) -> "_Part":
        if not len(labels):
            return cls(0, np.inf, -np.inf)
        return cls(len(labels), float(labels.min()), float(labels.max()))

    def joined(self, other: "_Part") -> "_Part":
        return _Part(self.rows + other.rows, min(self.low, other.low), max(self.high, other.high))

    def require_contrast(self, source: str, task: str, what: str) -> None:
        labels = np.array([self.low, self.high] if self.rows else [], np.float32)
        require_contrast(Log({}, labels, source=source), task, what)


class _Seen(NamedTuple):
    # of a block: its number, and by rule what is trained on and what is held out

    number: int
    rules: Sequence[HeldOut]
    parts: Sequence[tuple[_Part, _Part]]
    weighed: bool
    counts: dict[str, pl.DataFrame]
    numbers: dict[str, NDArray[np.float64]]


def partial_seen(schema: Schema, share: float | None, rule: int) -> Callable[[int, Table], _Seen]:
    """What is done with a block: the values of the rows that the rule number `rule` of those that
    `share` gives does not hold out.
    """
    hashes = KnownHashes()

    def seen(number: int, table: Table) -> _Seen:
        log = rows_of(table, schema)
        rules: list[HeldOut] = []
        held = [np.zeros(len(log), np.bool_)]
        if share is not None:
            keys, first = keys_of(log, schema, share, hashes)
            rules = list(wider(first))
            held = [one.holds_out(keys) for one in rules]
        parts = [(_Part.of(log.labels[~one]), _Part.of(log.labels[one])) for one in held]
        train = log.take(np.flatnonzero(~held[rule])) if held[rule].any() else log
        counts, numbers = {}, {}
        for name, described in schema.fields.items():
            column = train.columns[schema.sources[name]]
            if isinstance(described, NumericField):
                numbers[name] = numbers_of(described, column)
            else:
                counts[name] = block_counts(described, column)
        weighed = train.weights is None or bool(train.weights.any())
        return _Seen(number, rules, parts, weighed, counts, numbers)

    return seen


class _Pass:
    # what one reading of the log has found so far, where the rule number `rule` holds out

    def __init__(self, schema: Schema, rule: int, folder: Path) -> None:
        self._schema, self._rule = schema, rule
        self._rules: Sequence[HeldOut] = []
        self._parts: list[tuple[_Part, _Part]] = []
        self._kept: dict[int, int] = {}
        self._weighed = False
        self._counts: dict[str, Counts] = {}
        self._numbers: dict[str, Numbers] = {}
        for place, (name, described) in enumerate(schema.fields.items()):
            if isinstance(described, NumericField):
                self._numbers[name] = Numbers(described, folder / f"{place}.numbers")
            else:
                self._counts[name] = Counts(described, folder / str(place))

    def add(self, seen: _Seen) -> None:
        self._rules = seen.rules
        if not self._parts:
            self._parts = list(seen.parts)
        else:
            self._parts = [
                (train.joined(more), held.joined(others))
                for (train, held), (more, others) in zip(self._parts, seen.parts, strict=True)
            ]
        self._kept[seen.number] = seen.parts[self._rule][0].rows
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

    def survey(self) -> Survey:
        known = {
            name: (
                self._numbers[name].learnt()
                if name in self._numbers
                else self._counts[name].vocabulary()
            )
            for name in self._schema.fields
        }
        rule = self._rules[self._rule] if self._rules else None
        return Survey(self._kept, rule, known)
