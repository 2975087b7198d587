"""A fitted net against what it started from, on the same rows held out: AFM against the FM of its
first step, a warm start against its bundle.

Both are judged as they would be served, each with a calibration of its own, and with the paired
bootstrap, so that a lucky split is not taken for a better net.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.metrics.bootstrap import differences, resample
from model.metrics.metrics import JUDGED_BY, is_loss
from training.data.log import Log

Facts = dict[str, Any]


def against_baseline(
    baseline: Mapping[str, object],
    first: NDArray[np.float64],
    last: NDArray[np.float64],
    valid: Log,
    task: str,
) -> Facts | None:
    """What the manifest says of it: `baseline` (the "net", the best "of" those fitted, or the
    "bundle" by its version), its figure with predictions `first` [B], that of the net with `last`
    [B], their difference with its interval. None where it is undefined.
    """
    rows = valid.labels, valid.weights, valid.group
    before, after = (resample(rows[0], p, *rows[1:], task=task) for p in (first, last))
    name = JUDGED_BY[task]
    found = differences([before], [after])[name]
    if found is None:
        return None
    return {
        **baseline,
        "rows": len(valid),
        "figure": name,
        "first": before.whole[name],
        "last": after.whole[name],
        "difference": found.value,
        "interval": list(found.interval),
    }


def baseline_words(net: str, facts: Mapping[str, Any]) -> str:
    """The same in one sentence, which spares nobody."""
    low, high = facts["interval"]
    name, other = facts["figure"], facts.get("net")
    sign = 1 if is_loss(name) else -1
    start = f"the {other or 'bundle'} that it started from"
    if other is None:
        net = f"today's {net}"
    if sign * high < 0 and sign * low < 0:
        verdict = f"{net} beats {start}"
    elif sign * high > 0 and sign * low > 0:
        verdict = f"{net} is worse than {start}: serve {other or 'that'}"
    else:
        verdict = (
            f"{net} does not beat {start}: no difference can be shown on {facts['rows']:,} rows"
        )
    first = f"{facts['first']:.5f}{'' if other else ' of version ' + facts['bundle']}"
    unseen = ""
    if other not in (None, "fm"):
        unseen = f"; {other} was better than fm"
        if "fm" not in facts.get("of", ()):
            unseen = "; fm itself was not fitted here"
    return (
        f"{verdict} (valid {name} {facts['last']:.5f} against {first}, "
        f"{facts['difference']:+.5f}, 95 %: {low:+.5f} to {high:+.5f}{unseen})"
    )
