"""Progressive validation (Blum, Kalai & Langford, COLT 1999): each row of a pass over a log is
scored before it is trained on, so that the pass itself says how well the net does on rows to come.

The figures are those of the logits as they are, by windows of the log. The bias is solved for, and
the calibration chosen, after the pass.

>>> window_words({"first": 0, "rows": 500, "loss": 0.5, "auc": None})
'rows 1 to 500, each before it was trained on: loss 0.5000, auc none'
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from model.nets import Net
from training.data.examples import EncodedRows, Examples, Fed
from training.fit.step.logits import in_slices
from training.fit.step.objective import Objective

WINDOWS = 20  # of a pass, or fewer

Window = dict[str, Any]  # as the manifest has it: its "first" row from 0, "rows", "loss", "auc"


class Progressive:
    """Judges the rows of a pass over `train` in its order, in batches of `size`. `say`: for a line
    a window. `state`: is filled with what another pass goes on from.
    """

    def __init__(
        self,
        train: EncodedRows,
        size: int,
        objective: Objective,
        say: Callable[[str], None],
        state: dict[str, Any],
    ) -> None:
        self._train, self._say = train, say
        self._objective = replace(objective, log_rate=0.0)  # for rows as they are trained on
        self._rows = -(-len(train) // (WINDOWS * size)) * size
        self.windows: list[Window] = state.setdefault("windows", [])
        self._scores: list[torch.Tensor] = state.setdefault("scores", [])

    def score(self, net: Net, fed: Fed) -> None:
        """Score the next batch, which `net` is to be trained on."""
        net.eval()
        self._scores.append(in_slices(net, fed.ids, fed.values))
        net.train()
        first = sum(window["rows"] for window in self.windows)
        last = first + sum(map(len, self._scores))
        if last - first >= self._rows or last == len(self._train):
            self.windows.append(self._judged(first, last))
            self._scores.clear()
            self._say(window_words(self.windows[-1]))

    def _judged(self, first: int, last: int) -> Window:
        scores = torch.cat(self._scores).numpy()
        labels, weights = self._train.labels[first:last], self._train.weights[first:last]
        found: Window = {"first": first, "rows": last - first, "loss": None, "auc": None}
        if np.isfinite(scores).all() and bool(weights.any()):
            nothing = torch.empty(0, 0)
            groups = self._train.groups
            of_rows = None if groups is None else groups[torch.arange(first, last)]
            rows = Examples(nothing, nothing, labels, weights, of_rows)
            found["loss"], found["auc"] = self._objective.judge(scores, rows)
        return found


def window_words(window: Window) -> str:
    """A window in one line."""
    first, last = window["first"] + 1, window["first"] + window["rows"]
    loss, auc = ("none" if window[k] is None else f"{window[k]:.4f}" for k in ("loss", "auc"))
    return f"rows {first:,} to {last:,}, each before it was trained on: loss {loss}, auc {auc}"
