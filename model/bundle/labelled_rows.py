"""Labelled raw rows, one JSON object a line, as a bundle's validation.jsonl holds them:

    {"row": {"device": "ios", "price": 3.5}, "label": 1.0, "weight": 2.0, "group": 7}

`weight` (1) and `group` (none) may be left out.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.errors import BundleError
from model.values import Row


@dataclass(frozen=True)
class LabelledRows:
    """B raw rows with `labels` and `weights`, float64 [B]; `group` int64 [B] where they have one.

    `source` names them in errors.
    """

    rows: Sequence[Row]
    labels: NDArray[np.float64]
    weights: NDArray[np.float64]
    group: NDArray[np.int64] | None = None
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
            lines.append(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        return "".join(lines).encode()

    @classmethod
    def parse(cls, data: bytes, source: str) -> "LabelledRows":
        """Read what `dumps` wrote, or somebody else did.

        Raises:
            BundleError: no rows, or a line that is not a labelled row; names it, counted from 1.
        """
        rows, labels, weights, groups = [], [], [], []
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
            except (ValueError, RecursionError) as error:
                raise BundleError(
                    f"{source}: line {number}: not a labelled row: {error}"
                ) from error
            rows.append(found["row"])
        if not rows or not sum(weights) > 0:
            raise BundleError(f"{source}: no labelled row in it that weighs anything")
        if groups.count(None) not in (0, len(groups)):
            raise BundleError(f"{source}: some rows have a group and some have none")
        grouped = groups[0] is not None
        group = np.array(groups, np.int64) if grouped else None
        return cls(rows, np.array(labels), np.array(weights), group, source)


def _number(found: Mapping[str, object], key: str, default: float | None = None) -> float:
    value = found.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key}: not a finite number")
    return float(value)
