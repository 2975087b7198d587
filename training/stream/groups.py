"""The groups of a log that is read in blocks, for task ranking: the rows of a group lie one behind
the other, also from a block or a file to the next.

>>> runs = Runs.of(np.array([7, 7, 3]))
>>> runs.numbers, runs.first
(array([7, 3]), array([0, 2]))
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.errors import DataError
from model.held_out import HeldOut, number_keys
from model.schema import Schema
from training.data.leaks import MOST_ROWS
from training.data.log import Ints

LOOKED_AT = "looked at"  # the salt of the groups that are


def ranked_by(schema: Schema) -> str | None:
    """The column of the groups that rows are ranked in; None for the other tasks."""
    return schema.group if schema.task == "ranking" else None


class Runs(NamedTuple):
    """The R runs of rows of one group: the `numbers` of the groups, and the first row of each run,
    int64 [R].
    """

    numbers: Ints
    first: Ints

    @classmethod
    def of(cls, group: Ints) -> "Runs":
        """Those of rows with these groups, [B]."""
        new = np.ones(len(group), np.bool_)
        new[1:] = group[1:] != group[:-1]
        first = np.flatnonzero(new)
        return cls(group[first], first)


class RunsInOrder:
    """Takes the runs of block after block of a log."""

    def __init__(self) -> None:
        self._last: int | None = None

    def begun(self, runs: Runs) -> Runs:
        """The runs of the next block, without its first one where this continues the last one of
        the blocks before.
        """
        if not len(runs.numbers):
            return runs
        continues = int(runs.numbers[0] == self._last)
        self._last = int(runs.numbers[-1])
        return Runs(runs.numbers[continues:], runs.first[continues:])


@dataclass(frozen=True)
class GroupCells:
    """The groups of a block: the `cells` of their column, and their runs; all are of one file."""

    path: Path
    cells: pl.Series
    runs: Runs


class Together:
    """Refuses a log in which a group of the `column` comes again, behind rows of other groups.

    The groups of all rows before are known exactly: in 8 bytes each, and twice that while sorted
    arrays of them are merged.
    """

    def __init__(self, column: str) -> None:
        self._column = column
        self._order = RunsInOrder()
        self._known: list[Ints] = []  # sorted, each at least twice as long as the next
        self._path: Path | None = None
        self._rows = 0  # of the file before the block

    def add(self, block: GroupCells) -> None:
        """Look at the next block of the log.

        Raises:
            DataError: a group comes again; names the row, counted from 1 in its file.
        """
        if block.path != self._path:
            self._path, self._rows = block.path, 0
        begun = self._order.begun(block.runs)
        again = self._again(begun.numbers)
        if again.any():
            row = int(begun.first[again.argmax()])
            raise DataError(
                f"{block.path}: column {self._column!r}, row {self._rows + row + 1}: group "
                f"{block.cells[row]!r} comes again, behind rows of other groups: --stream needs "
                f"the rows of a group together, so sort the log by {self._column!r}"
            )
        self._rows += len(block.cells)
        self._keep(begun.numbers)

    def _again(self, numbers: Ints) -> NDArray[np.bool_]:
        # which of the groups are known, or stand before in the block itself
        again = np.ones(len(numbers), np.bool_)
        again[np.unique(numbers, return_index=True)[1]] = False
        for known in self._known:
            places = np.searchsorted(known, numbers)
            again |= known[np.minimum(places, len(known) - 1)] == numbers
        return again

    def _keep(self, numbers: Ints) -> None:
        if not len(numbers):
            return
        merged = np.sort(numbers)
        while self._known and len(self._known[-1]) < 2 * len(merged):
            merged = np.concatenate([self._known.pop(), merged])
            merged.sort(kind="stable")  # which merges what is sorted already
        self._known.append(merged)


def are_looked_at(group: Ints, column: str, count: int) -> NDArray[np.bool_]:
    """Which of the rows of these groups [B] are looked at, of `count` rows: whole groups, drawn by
    a hash, of about MOST_ROWS rows; all where there are no more.
    """
    if count <= MOST_ROWS:
        return np.ones(len(group), np.bool_)
    rule = HeldOut(by="group", columns=[column], share=MOST_ROWS / count, salt=LOOKED_AT)
    return rule.holds_out(number_keys(group, rule.salt))
