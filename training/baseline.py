"""A fitted net against the one that it went on from, on the same rows held out: AFM against its FM.

Both are judged as they would be served, each with a calibration of its own, and with the paired
bootstrap, so that a lucky split is not taken for a better net.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.bootstrap import differences, resample
from model.metrics import JUDGED_BY, is_loss
from training.data import Log

Facts = dict[str, Any]


def against_baseline(
    baseline: str,
    first: NDArray[np.float64],
    last: NDArray[np.float64],
    valid: Log,
    task: str,
) -> Facts | None:
    """What the manifest says of it: the figure of `baseline` with its predictions `first` [B], that
    of the net with `last` [B], their difference with its interval. None where it is undefined.
    """
    rows = valid.labels, valid.weights, valid.group
    before, after = (resample(rows[0], p, *rows[1:], task=task) for p in (first, last))
    name = JUDGED_BY[task]
    found = differences([before], [after])[name]
    if found is None:
        return None
    return {
        "net": baseline,
        "figure": name,
        "first": before.whole[name],
        "last": after.whole[name],
        "difference": found.value,
        "interval": list(found.interval),
    }


def baseline_words(net: str, facts: Mapping[str, Any]) -> str:
    """The same in one sentence, which spares nobody."""
    low, high = facts["interval"]
    name, other = facts["figure"], facts["net"]
    sign = 1 if is_loss(name) else -1
    if sign * high < 0 and sign * low < 0:
        verdict = f"{net} beats the {other} that it went on from"
    elif sign * high > 0 and sign * low > 0:
        verdict = f"{net} is worse than the {other} that it went on from: serve {other}"
    else:
        verdict = (
            f"{net} does not beat the {other} that it went on from: "
            f"{other} is as good here, and faster"
        )
    return (
        f"{verdict} (valid {name} {facts['last']:.5f} against {facts['first']:.5f}, "
        f"{facts['difference']:+.5f}, 95 %: {low:+.5f} to {high:+.5f})"
    )
