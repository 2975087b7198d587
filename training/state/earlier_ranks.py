"""How well the bundle that a warm start begins from ranks the rows that are new to it."""

import numpy as np

from model.bundle.bundle import Bundle
from model.metrics.bootstrap import intervals, resample
from model.metrics.metrics import RANKED_BY
from training.data.log import Log, encode
from training.data.parts import sample

RANKED_ROWS = 20_000  # which tell an AUC to .01


def ranks(bundle: Bundle, fresh: Log) -> dict[str, float] | None:
    """How well the bundle, as it is, ranks the labels of rows that are new to it, at most
    RANKED_ROWS of them: the figure by its name, its standard `error` and the `rows`. None where
    no figure of the task, or of these rows, tells.
    """
    task = bundle.schema.task
    name = RANKED_BY.get(task)
    if name is None:
        return None
    seen = sample(fresh, RANKED_ROWS, seed=1)
    scores = bundle.read_scorer().predict(encode(bundle.read_encoder(), seen))
    found = resample(
        seen.labels, scores.predictions, seen.weights, seen.group, task=task, resamples=100
    )
    if intervals(found)[name] is None:
        return None
    error = float(np.nanstd(found.drawn[name]))
    return {name: found.whole[name], "error": error, "rows": len(seen)}
