"""What a net would lose without each field: its figures with the field's values permuted over the
rows, so that they keep their shares and say nothing of the row (Breiman, 2001).
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from model.encoding import Encoded, Encoder
from model.metrics.bootstrap import Difference, Resampled, differences, resample
from model.metrics.metrics import JUDGED_BY
from model.scorer import Scorer
from training.data.examples import EncodedRows
from training.data.log import Log

MOST_ROWS = 3000  # each field scores all of them once more


class Importance(NamedTuple):
    """How the figures change when `field` says nothing: `auc` only for task click, and the figure
    that the task is judged by. None where they are undefined.
    """

    field: str
    auc: Difference | None
    judged: Difference | None


def importances(
    scorer: Scorer, encoder: Encoder, held: EncodedRows, log: Log, seed: int
) -> list[Importance]:
    """Of each field over B encoded rows and their log, or MOST_ROWS of them, the field that the
    figures lose most by first.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(log))
    if len(log) > MOST_ROWS:
        rows = np.sort(rng.choice(len(log), MOST_ROWS, replace=False))
        log = replace(log, columns={}).take(rows)  # of which only labels are of use here
    encoded = held.take(rows)
    schema = encoder.schema
    task, name = schema.task, JUDGED_BY[schema.task]
    slots = np.array(schema.slots)

    def figures(part: Encoded) -> Resampled:
        predictions = scorer.predict(part).predictions
        return resample(log.labels, predictions, log.weights, log.group, task=task)

    whole = figures(encoded)
    found = []
    for field in schema.fields:
        of_field = slots == field
        drawn = rng.permutation(len(log))
        ids, values = encoded.ids.copy(), encoded.values.copy()
        ids[:, of_field] = ids[drawn][:, of_field]
        values[:, of_field] = values[drawn][:, of_field]
        lost = differences([whole], [figures(replace(encoded, ids=ids, values=values))])
        found.append(Importance(field, lost["auc"], lost[name]))
    sign = -1 if name == "gauc" else 1
    return sorted(found, key=lambda one: -sign * (one.judged.value if one.judged else 0.0))
