"""Labelled raw rows, one JSON object a line, as a bundle's validation.jsonl holds them:

    {"row": {"device": "ios", "price": 3.5}, "label": 1.0, "weight": 2.0, "group": 7}

`weight` (1), `group` and `time` (none) may be left out.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.errors import BundleError
from model.held_out import HeldOut, Keys, field_keys, number_keys
from model.values.values import Row


@dataclass(frozen=True)
class LabelledRows:
    """B raw rows with `labels` and `weights`, float64 [B]; `group` int64 [B] and `time` float64 [B]
    where they have one.

    `source` names them in errors.
    """

    rows: Sequence[Row]
    labels: NDArray[np.float64]
    weights: NDArray[np.float64]
    group: NDArray[np.int64] | None = None
    time: NDArray[np.float64] | None = None
    source: str = "rows"

    def __len__(self) -> int:
        return len(self.rows)

    def dumps(self) -> bytes:
        """As lines; numbers in their shortest form that reads back equal."""
        lines = []
        for i, row in enumerate(self.rows):
            line = {"row": dict(row), "label": float(self.labels[i])}
            if self.weights[i] != 1:
                line["weight"] = float(self.weights[i])
            if self.group is not None:
                line["group"] = int(self.group[i])
            if self.time is not None:
                line["time"] = float(self.time[i])
            lines.append(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        return "".join(lines).encode()

    @classmethod
    def parse(cls, data: bytes, source: str) -> "LabelledRows":
        """Read what `dumps` wrote, or somebody else did.

        Raises:
            BundleError: no rows, or a line that is not a labelled row; names it, counted from 1.
        """
        rows, labels, weights, groups = [], [], [], []
        times: list[float | None] = []
        for number, line in enumerate(data.splitlines(), 1):
            try:
                found = json.loads(line)
                if not isinstance(found, dict) or not isinstance(found.get("row"), Mapping):
                    raise ValueError('expected {"row": {...}, "label": ...}')
                labels.append(_number(found, "label"))
                weights.append(_number(found, "weight", 1.0))
                if weights[-1] < 0:
                    raise ValueError("weight: negative")
                groups.append(found.get("group"))
                if groups[-1] is not None and type(groups[-1]) is not int:
                    raise ValueError("group: not a whole number")
                times.append(None if found.get("time") is None else _number(found, "time"))
            except (ValueError, RecursionError) as error:
                raise BundleError(
                    f"{source}: line {number}: not a labelled row: {error}"
                ) from error
            rows.append(found["row"])
        if not rows or not sum(weights) > 0:
            raise BundleError(f"{source}: no labelled row in it that weighs anything")
        if groups.count(None) not in (0, len(groups)):
            raise BundleError(f"{source}: some rows have a group and some have none")
        if times.count(None) not in (0, len(times)):
            raise BundleError(f"{source}: some rows have a time and some have none")
        group = None if groups[0] is None else np.array(groups, np.int64)
        time = None if times[0] is None else np.array(times, np.float64)
        return cls(rows, np.array(labels), np.array(weights), group, time, source)

    def take(self, indices: NDArray[np.intp]) -> "LabelledRows":
        """The rows at `indices`, in that order."""
        return LabelledRows(
            [self.rows[i] for i in indices.tolist()],
            self.labels[indices],
            self.weights[indices],
            None if self.group is None else self.group[indices],
            None if self.time is None else self.time[indices],
            self.source,
        )

    def keys(self, rule: HeldOut) -> Keys | None:
        """The keys by which the rule holds rows out; None where the rows lack what it asks for."""
        if rule.by == "group":
            return None if self.group is None else number_keys(self.group, rule.salt)
        if rule.by == "time":
            return None if self.time is None else number_keys(self.time, rule.salt)
        if not all(name in row for row in self.rows for name in rule.columns):
            return None
        columns = {name: [row[name] for row in self.rows] for name in rule.columns}
        return field_keys(columns, len(self), rule.salt)


def _number(found: Mapping[str, object], key: str, default: float | None = None) -> float:
    value = found.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key}: not a finite number")
    return float(value)
