"""Whether the labels of a bundle's log are of the kind that the active version learnt.

The active version has never seen the rows that are new in the bundle's log. If it ranked rows that
were new to it well before, and ranks these as chance would, then their labels say something else,
whatever the bundle has made of them: they were shuffled, or are of another column.

Of these rows a bundle brings those that it held out. One that continues from the active version has
no others than new ones, and its manifest has the figure of all of them: of a day's log only the
held-out rows would be too few to judge by.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from model.bundle.bundle import Bundle
from model.metrics.bootstrap import Resampled
from model.metrics.metrics import RANKED_BY

CHANCE = 0.5  # of each figure of RANKED_BY
MOST_LOST = 0.5  # of what the figure was above chance
ERRORS = 3.0  # standard errors that the difference must be


class _Ranked(NamedTuple):
    figure: float
    error: float


def odd_labels(bundle: Bundle, active: Bundle, own: Resampled, before: Resampled) -> str | None:
    """What is odd, in a line; None where nothing is, or the rows are too few to say so.

    Args:
        bundle: the new one.
        active: the active version.
        own: the active version's figures on the rows that the bundle held out.
        before: its figures on the rows that it held out itself.
    """
    name = RANKED_BY.get(active.manifest.task)
    if name is None:
        return None
    new = None
    if bundle.manifest.training.get("from") == active.version:
        new = _surer(_noted(bundle, name), _measured(own, name))
    now = new or _measured(own, name)
    then = _surer(_noted(active, name), _measured(before, name))
    if now is None or then is None:
        return None
    lost, skill = then.figure - now.figure, then.figure - CHANCE
    if skill <= 0 or lost <= MOST_LOST * skill or lost <= ERRORS * np.hypot(then.error, now.error):
        return None
    return (
        f"its log has other labels than the active version learnt: that ranks them by {name} "
        f"{now.figure:.3f}, where it was {then.figure:.3f} before"
    )


def _measured(found: Resampled, name: str) -> _Ranked | None:
    drawn = found.drawn[name]
    if np.isnan(found.whole[name]) or np.isnan(drawn).mean() > 0.5:
        return None
    return _Ranked(found.whole[name], float(np.nanstd(drawn)))


def _noted(bundle: Bundle, name: str) -> _Ranked | None:
    """How the bundle that this one continues from ranked the rows that were new to it."""
    noted = bundle.manifest.training.get("ranked_by_it")
    if not isinstance(noted, Mapping) or not isinstance(noted.get(name), float):
        return None
    return _Ranked(noted[name], float(noted["error"]))


def _surer(one: _Ranked | None, other: _Ranked | None) -> _Ranked | None:
    known = [each for each in (one, other) if each is not None]
    return min(known, key=lambda each: each.error) if known else None
