"""A click log as columns of the raw values that the encoder takes.

>>> log = Log({"device": ["ios", "web", "tv"]}, np.array([1, 0, 0], np.float32))
>>> log.take(np.array([2, 0])).rows()
[{'device': 'tv'}, {'device': 'ios'}]
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoding import Encoded, Encoder
from model.errors import DataError, InputError
from model.held_out import HeldOut
from model.values.values import Column, Value
from training.columns.cells import joined, taken
from training.columns.encode import encode_columns

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Log:
    """B rows of a click log.

    `columns`: for each source of the schema its B values, read from files as `Cells` or `Numbers`.
    `labels`: float32 [B]; NaN where the log was read without labels. `weights`: float32 [B], not
    negative. `group`: int64 [B], a number for each distinct group,
    the same in every log. `time`: float64 [B], ascending
    with time (seconds since 1970 where the log has dates). `source` names the log in errors.
    `held_out`: the rule by which these rows were kept from training, where there was one.
    """

    columns: Mapping[str, Column]
    labels: NDArray[np.float32]
    weights: NDArray[np.float32] | None = None
    group: Ints | None = None
    time: NDArray[np.float64] | None = None
    source: str = "log"
    held_out: HeldOut | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Ints) -> "Log":
        """The rows at `indices`, in that order."""
        return Log(
            {name: taken(column, indices) for name, column in self.columns.items()},
            self.labels[indices],
            None if self.weights is None else self.weights[indices],
            None if self.group is None else self.group[indices],
            None if self.time is None else self.time[indices],
            self.source,
        )

    def joined(self, other: "Log") -> "Log":
        """These rows, and behind them those of another log of the same schema; its groups are
        others than these.
        """
        groups = None
        if self.group is not None and other.group is not None:
            mine = np.unique(self.group, return_inverse=True)[1]
            others = np.unique(other.group, return_inverse=True)[1]
            groups = np.concatenate([mine, others + mine.max(initial=-1) + 1])
        return Log(
            {name: joined([column, other.columns[name]]) for name, column in self.columns.items()},
            np.concatenate([self.labels, other.labels]),
            _both(self.weights, other.weights),
            groups,
            _both(self.time, other.time),
            self.source,
        )

    def rows(self) -> list[dict[str, Value]]:
        """The fields of each row as a request's JSON would hold them."""
        names = list(self.columns)
        return [
            dict(zip(names, values, strict=True))
            for values in zip(*self.columns.values(), strict=True)
        ]


def encode(encoder: Encoder, log: Log) -> Encoded:
    """A log's rows, encoded as a request's are.

    Raises:
        DataError: a value that its field cannot hold; names the row, counted from 1.
    """
    try:
        return encode_columns(encoder, log.columns, len(log))
    except InputError as error:
        row = "" if error.row is None else f", row {error.row + 1}"
        raise DataError(f"{log.source}{row}: {error}") from error


def _both(one: NDArray[Any] | None, other: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if one is None or other is None else np.concatenate([one, other])
