"""The rows that a new bundle and the active version are judged on: what neither was trained on.

What a fit holds out depends on the row and on nothing else (model/held_out.py). So an honest
retrain was never trained on the rows that the active version held out, and for each row of either
bundle it can be computed whether the other one holds it out as well.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.bundle.bundle import Bundle
from model.bundle.labelled_rows import LabelledRows
from model.held_out import Keys, field_keys

FEWEST_ROWS = 30


@dataclass(frozen=True)
class Judge:
    """Rows to judge on; `name` says in a line which. `doubt`: why one of both versions may have
    been trained on them; None where neither was.
    """

    name: str
    rows: LabelledRows
    doubt: str | None = None

    def is_same_as(self, other: "Judge | None") -> bool:
        """Whether both hold the same rows."""
        return other is not None and self.rows.dumps() == other.rows.dumps()


def judge_of(owner: Bundle, rows: LabelledRows, other: Bundle, name: str) -> Judge:
    """The rows that `owner` held out and that `other` was not trained on either; all of its rows,
    with a doubt, where these are too few or not known.
    """
    held = _held_out_by(other, rows)
    if held.all():
        return Judge(name, rows)
    if held.sum() >= FEWEST_ROWS and len(np.unique(rows.labels[held])) > 1:
        kept = rows.take(np.flatnonzero(held))
        return Judge(f"{name} that neither was trained on", kept)
    rule = other.manifest.held_out
    if rule is None:
        why = "its manifest does not say what it held out"
    elif owner.manifest.held_out is None or not rule.has_keys_of(owner.manifest.held_out):
        why = "it held rows out by another rule"
    else:
        why = "it held fewer rows out"
    return Judge(name, rows, f"version {other.version} may have been trained on them ({why})")


def _held_out_by(bundle: Bundle, rows: LabelledRows) -> NDArray[np.bool_]:
    held = np.zeros(len(rows), np.bool_)
    rule = bundle.manifest.held_out
    keys = None if rule is None else rows.keys(rule)
    if rule is not None and keys is not None:
        held = rule.holds_out(keys)
    # rows that stand in both: what it keeps it was not trained on, unless what it began from was
    kept = bundle.read_validation()
    if kept is not None and "from" not in bundle.manifest.training:
        held = held | np.isin(_contents(rows), _contents(kept))
    return held


def _contents(rows: LabelledRows) -> Keys:
    names = sorted({name for row in rows.rows for name in row})
    columns = {name: [row.get(name) for row in rows.rows] for name in names}
    return field_keys(columns, len(rows))
