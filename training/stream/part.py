"""What is known of a part of a log whose rows are not in memory: enough to say whether it can be
trained or judged on. The parts of blocks are joined in the order of the log.

>>> of_blocks = [Part.of(np.float32([label]), np.array([5])) for label in (0, 1)]
>>> of_blocks[0].has_contrast, of_blocks[0].joined(of_blocks[1]).has_contrast
(False, True)
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.data.log import Ints, Log
from training.data.parts import require_contrast
from training.stream.groups import Runs


class GroupLabels(NamedTuple):
    """The lowest and the highest label of rows of one group."""

    group: int
    low: float
    high: float

    def joined(self, other: "GroupLabels") -> "GroupLabels":
        """Those of more rows of the group."""
        return GroupLabels(self.group, min(self.low, other.low), max(self.high, other.high))


class Part(NamedTuple):
    """Some rows of a log: how many, and their lowest and highest label.

    For task ranking also: whether a group has labels that differ, how many runs of one group there
    are, and the first and the last run, which rows before and behind may continue.
    """

    rows: int = 0
    low: float = np.inf
    high: float = -np.inf
    has_contrast: bool = False
    runs: int = 0
    ends: tuple[GroupLabels, GroupLabels] | None = None

    @classmethod
    def of(cls, labels: NDArray[np.float32], group: Ints | None = None) -> "Part":
        """Of rows with these labels [B], and groups [B] for task ranking."""
        if not len(labels):
            return cls()
        of_all = len(labels), float(labels.min()), float(labels.max())
        if group is None:
            return cls(*of_all)
        runs = Runs.of(group)
        lows, highs = (each.reduceat(labels, runs.first) for each in (np.minimum, np.maximum))
        first, last = (
            GroupLabels(int(runs.numbers[at]), float(lows[at]), float(highs[at])) for at in (0, -1)
        )
        return cls(*of_all, bool((lows < highs).any()), len(lows), (first, last))

    def joined(self, other: "Part") -> "Part":
        """With the rows of `other` behind these."""
        if not (self.rows and other.rows):
            return self if self.rows else other
        of_all = self.rows + other.rows, min(self.low, other.low), max(self.high, other.high)
        has_contrast, runs = self.has_contrast or other.has_contrast, self.runs + other.runs
        if self.ends is None or other.ends is None:
            return Part(*of_all)
        (first, left), (right, last) = self.ends, other.ends
        if left.group == right.group:  # one run over the end of a block
            whole = left.joined(right)
            has_contrast |= whole.low < whole.high
            runs -= 1
            first = whole if self.runs == 1 else first
            last = whole if other.runs == 1 else last
        return Part(*of_all, has_contrast, runs, (first, last))

    def require_contrast(self, source: str, task: str, what: str) -> None:
        """See `training.data.parts.require_contrast`: the same of the rows themselves.

        Raises:
            DataError: they have no contrast.
        """
        labels = np.array([self.low, self.high] if self.rows else [], np.float32)
        group = np.zeros(len(labels), np.int64)
        if not self.has_contrast:
            group[1:] = 1  # a group each
        require_contrast(Log({}, labels, group=group, source=source), task, what)
